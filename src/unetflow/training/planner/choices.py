"""What a plan chooses from: networks, and sizes of crops, batches and windows for the images."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from unetflow.config.model import ModelParameters
from unetflow.config.parameters import BudgetParameters
from unetflow.config.training import TrainingParameters, refuse_crop
from unetflow.core.geometry import unet_geometry
from unetflow.data.fingerprint import Fingerprint
from unetflow.training.planner.network_cost import (
    Architecture,
    Speed,
    list_convolutions,
    predict_memory,
)

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

LARGEST_CROP = 256
CROP_OF_OBJECTS = 128
DIAMETERS = 4
"""A crop of so many diameters of a large object shows the object and all that it touches."""
DEEPEST = 4
LEAST_DEEP_EDGE = 8
"""In pixels: in smaller feature maps, a 3x3 kernel sees mostly border."""

_USUAL = {
    "depth": range(DEEPEST, 0, -1),
    "base_filters": (64, 48, 32, 24, 16, 8),
    "batch": (4, 2, 1),
    "tile": (1024, 768, 512, 384, 256),
}
"""The values to choose from, the best first."""


@dataclass(frozen=True)
class Choice:
    """A network, and the sizes of what passes through it; `crop` and `tile` are edges in pixels."""

    depth: int
    base_filters: int
    crop: int
    batch: int
    tile: int


@dataclass(frozen=True)
class Task:
    """What a plan is made for: parameters that are None are open, a budget of None is unlimited."""

    fingerprint: Fingerprint
    budget: BudgetParameters
    model: ModelParameters
    training: TrainingParameters
    speed: Speed

    @cached_property
    def given(self) -> dict[str, int]:
        """The quantities of `PARAMETERS` that the user has set."""
        values = vars(self.model) | vars(self.training)
        named = {name: values[where.rpartition(".")[2]] for name, where in PARAMETERS.items()}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def memory(self) -> float:
        """Bytes that are granted."""
        return 1e9 * (self.budget.memory_gb or float("inf"))

    @property
    def seconds(self) -> float:
        """Seconds that are granted."""
        return 60 * (self.budget.minutes or float("inf"))

    @property
    def median_size(self) -> tuple[int, int]:
        """Median height and width of the images in pixels."""
        return int(self.fingerprint.height.median), int(self.fingerprint.width.median)

    @cached_property
    def object_diameter(self) -> float | None:
        """Diameter in pixels of a disk that is larger than 90 % of the objects.

        None where the network does not learn objects.
        """
        objects = self.fingerprint.objects
        if objects is None or self.model.instances in ("none", "auto"):
            return None
        return 2 * math.sqrt(objects.area_percentiles["90"] / math.pi)

    @property
    def largest_crop(self) -> int:
        """The largest edge of a crop that is planned, whether it fits the network or not."""
        limit = min(*self.median_size, LARGEST_CROP)
        if self.object_diameter is None:
            return limit
        return min(limit, max(CROP_OF_OBJECTS, int(DIAMETERS * self.object_diameter)))

    def values_of(self, name: str) -> Sequence[int]:
        """Return the given value of a quantity alone, or else the usual ones, the best first."""
        return (self.given[name],) if name in self.given else _USUAL[name]

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

    def memory_of(self, choice: Choice) -> int:
        """Return the bytes that a choice needs."""
        largest = self.fingerprint.largest
        return predict_memory(
            self.architecture(choice),
            crop=choice.crop,
            batch=choice.batch,
            image=(largest.height, largest.width),
            tile=choice.tile,
            training=self.training,
        )


def smaller_choices(task: Task, wanted: Choice) -> Iterator[Choice]:
    """Yield ever smaller choices in the order in which `plan_training` tries them."""
    depths = [depth for depth in task.values_of("depth") if depth <= wanted.depth]
    widths = [w for w in task.values_of("base_filters") if w <= wanted.base_filters]
    for depth, width in product(depths, widths):
        for crop, batch, tile in product(
            list_crops(task, depth), task.values_of("batch"), task.values_of("tile")
        ):
            yield Choice(depth, width, crop, batch, tile)


def choose_depth(task: Task) -> int:
    """Return the given depth, or the largest up to 4 with a deepest map of at least 8 pixels.

    Raises:
        InputError: The given crop fits no depth, or not the given one.
    """
    depths, crop, padding = task.values_of("depth"), task.given.get("crop"), task.model.padding
    if crop is None:
        return next((depth for depth in depths if any(_good_crops(task, depth))), depths[-1])
    fitting = [depth for depth in depths if unet_geometry(depth, padding).fits(crop)]
    if not fitting:
        raise refuse_crop(crop, depths[-1], padding)
    good = (depth for depth in fitting if deepest_edge(depth, padding, crop) >= LEAST_DEEP_EDGE)
    return next(good, fitting[-1])


def list_crops(task: Task, depth: int) -> list[int]:
    """Return the crops to choose from for this depth, the largest first; the given one alone."""
    if "crop" in task.given:
        fits = unet_geometry(depth, task.model.padding).fits(task.given["crop"])
        return [task.given["crop"]] if fits else []
    return list(_good_crops(task, depth)) or [_smallest_good_crop(task, depth)]


def deepest_edge(depth: int, padding: str, crop: int) -> int:
    """Return the edge in pixels of the smallest feature map; not above 0 where there is none."""
    convolutions = list_convolutions(Architecture(1, 1, depth, padding=padding), crop, crop)
    return convolutions[2 * depth + 1].height


def _good_crops(task: Task, depth: int) -> range:
    """Return the crops that fit the network and the images, and have a large deepest map."""
    smallest = _smallest_good_crop(task, depth)
    limit = task.largest_crop
    largest = limit - (limit - smallest) % 2**depth
    return range(largest, smallest - 1, -(2**depth))


def _smallest_good_crop(task: Task, depth: int) -> int:
    geometry = unet_geometry(depth, task.model.padding)
    edge = geometry.fit(2 * geometry.shrink + 1)
    while deepest_edge(depth, task.model.padding, edge) < LEAST_DEEP_EDGE:
        edge += geometry.stride
    return edge
