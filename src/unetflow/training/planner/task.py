"""What a plan is made for, and what it chooses."""

from dataclasses import dataclass

from unetflow.config.model import ModelParameters
from unetflow.config.parameters import BudgetParameters
from unetflow.config.training import TrainingParameters
from unetflow.data.fingerprint import Fingerprint
from unetflow.training.planner.architecture import Architecture

PARAMETERS = {
    "depth": "model.depth",
    "base_filters": "model.base_filters",
    "crop": "training.crop_size",
    "batch": "training.batch_size",
    "tile": "training.tile",
    "epochs": "training.epochs",
    "crops_per_image": "training.crops_per_image",
}
"""The parameter of each quantity that a plan chooses."""


@dataclass(frozen=True)
class Choice:
    """A network, and the sizes of what passes through it.

    Attributes:
        depth: How often the size is halved.
        base_filters: Filters of the first level.
        crop: Edge of a training crop in pixels.
        batch: Crops in a batch.
        tile: Longest edge of a window in pixels.
    """

    depth: int
    base_filters: int
    crop: int
    batch: int
    tile: int


@dataclass(frozen=True)
class Task:
    """What a plan is made for.

    Attributes:
        fingerprint: Of the data.
        memory: Bytes that are granted.
        seconds: Those that are granted.
        model: The parameters of the network.
        training: Those of the training.
        given: The quantities of `PARAMETERS` that the user has set.
    """

    fingerprint: Fingerprint
    memory: float
    seconds: float
    model: ModelParameters
    training: TrainingParameters
    given: dict[str, int]

    @property
    def median_edge(self) -> int:
        """The shorter of the images' median height and width, in pixels."""
        return min(self.median_size)

    @property
    def median_size(self) -> tuple[int, int]:
        """Median height and width in pixels."""
        return int(self.fingerprint.height.median), int(self.fingerprint.width.median)

    def architecture(self, choice: Choice) -> Architecture:
        """Return the network of a choice."""
        return Architecture(
            self.fingerprint.channels,
            choice.base_filters,
            choice.depth,
            self.model.count_outputs(len(self.fingerprint.class_frequencies)),
            self.model.normalisation,
            self.model.padding,
            self.model.deep_supervision,
        )


def make_task(
    fingerprint: Fingerprint,
    budget: BudgetParameters,
    model: ModelParameters,
    training: TrainingParameters,
) -> Task:
    """Put together what a plan is made for; a quantity of the budget that is null is unlimited."""
    sections = {"model": model, "training": training}
    places = {name: where.split(".") for name, where in PARAMETERS.items()}
    values = {name: getattr(sections[section], key) for name, (section, key) in places.items()}
    return Task(
        fingerprint,
        memory=1e9 * (budget.memory_gb or float("inf")),
        seconds=60 * (budget.minutes or float("inf")),
        model=model,
        training=training,
        given={name: value for name, value in values.items() if value is not None},
    )
