"""All parameters of a run, what they must agree on, and the plan that settles them."""

from typing import Any, Self

from pydantic import Field, model_validator

from unetflow.config.augmentation import AugmentationParameters
from unetflow.config.base import Positive, Strict
from unetflow.config.classes import Classes, is_colour
from unetflow.config.evaluation import EvaluationParameters
from unetflow.config.ingestion import IngestionParameters
from unetflow.config.mask_export import MaskExportParameters
from unetflow.config.model import ModelParameters, PlannedModel
from unetflow.config.optimisation import OptimisationParameters
from unetflow.config.packaging import PackagingParameters
from unetflow.config.renames import rename_parameters
from unetflow.config.retraining import RetrainingParameters
from unetflow.config.training import PlannedTraining, TrainingParameters, check_crop
from unetflow.core.errors import InputError


class BudgetParameters(Strict):
    """What a training may take; see `training.planner`."""

    memory_gb: Positive | None = None
    """10^9 bytes, at the peak"""
    minutes: Positive | None = None
    """of training with its validation"""


class Parameters(Strict):
    """The files `parameters*.yml` together, and what only `--params` sets."""

    seed: int
    preset: str
    classes: Classes
    ingestion: IngestionParameters
    augmentation: AugmentationParameters
    budget: BudgetParameters
    model: ModelParameters
    training: TrainingParameters
    evaluation: EvaluationParameters
    retraining: RetrainingParameters
    mask_export: MaskExportParameters
    optimisation: OptimisationParameters
    packaging: PackagingParameters
    images: str | None = None
    """Folder of images to segment; the catalog reads it, and those that follow, from `--params`."""
    output: str | None = None
    """Folder for their masks."""
    segmenter: str | None = None
    """Model that the pipelines `inference`, `optimisation` and `packaging` use."""
    start_from: str | None = None
    """Model whose weights a training begins with."""
    runs: str | int | float | list[str] | None = None
    """Runs that the pipeline `comparison` compares; ids may look like numbers."""

    @model_validator(mode="after")
    def _masks_fit_the_classes(self) -> Self:
        masks = self.ingestion.masks
        values = [value for c in self.classes for value in c.values or ()]
        for value in masks.ignore:
            if value in values:
                raise InputError(
                    "ingestion.masks.ignore", f"{value!r} is also a value of a class", "Remove one"
                )
        used = [*values, *masks.ignore]
        plain = [value for value in used if not is_colour(value)]
        if plain and len(plain) < len(used):
            raise InputError(
                "classes",
                f"it mixes colours with {plain[0]!r}",
                "Give all values as colours, as in `[0, 0, 0]` for black",
            )
        if used and not plain and masks.binarise_at is not None:
            raise InputError(
                "ingestion.masks.binarise_at", "it is for grey masks, not for colours", "Remove it"
            )
        if masks.instances:
            self._refuse_numbers_beside_classes()
        return self

    def _refuse_numbers_beside_classes(self) -> None:
        """Raise an `InputError` where values that number objects would mean something else, too."""
        if len(self.classes) != 2:
            problem = f"numbered objects have no class, and `classes` lists {len(self.classes)}"
            fix = "List two classes, the background and that of the objects, or remove it"
        elif self.ingestion.masks.binarise_at is not None:
            problem = "`binarise_at` is set, which leaves no numbers"
            fix = "Remove one of the two"
        elif any(is_colour(value) for c in self.classes for value in c.values or ()):
            problem = "`classes` gives colours, which are no numbers"
            fix = "Give the background `values: 0` and the objects `values: rest`"
        else:
            return
        raise InputError("ingestion.masks.instances", problem, fix)

    @model_validator(mode="after")
    def _training_fits_the_classes(self) -> Self:
        names, training = self.classes.names, self.training
        weights, wanted = training.class_weights, training.weight_map
        if isinstance(weights, list) and len(weights) != len(names):
            raise InputError(
                "training.class_weights",
                f"it lists {len(weights)} weights for {len(names)} classes",
                "Give one for each class, the background first",
            )
        if wanted is not None and wanted.objects is not None and wanted.objects not in names:
            raise InputError(
                "training.weight_map.objects",
                f"there is no class '{wanted.objects}'",
                f"Use one of {', '.join(names)}, or null",
            )
        if self.model.head == "sigmoid" and len(names) > 2:
            raise InputError(
                "model.head",
                f"'sigmoid' gives the probability of one class, and `classes` lists {len(names)}",
                "Use `softmax` or `auto`",
            )
        return self

    @model_validator(mode="after")
    def _training_fits_the_network(self) -> Self:
        depth, levels = self.model.depth, self.model.deep_supervision
        if depth is None:
            return self
        if levels >= depth:
            raise InputError(
                "model.deep_supervision",
                f"a U-Net of depth {depth} has {depth - 1} decoder levels below the first, not "
                f"{levels}",
                "Lower it, or raise model.depth",
            )
        check_crop(self.training, depth, self.model.padding)
        return self


class Plan(Strict):
    """The parameters of network and training with nothing left open, and why.

    Where nothing was open, there are no reasons and no predictions.
    """

    model: PlannedModel
    training: PlannedTraining
    reasons: dict[str, str] = Field(default={})
    """one sentence for each planned one"""
    steps: int | None = None
    """of the whole training"""
    memory_gb: float | None = None
    """predicted peak of the process's resident memory, 10^9 bytes"""
    minutes: float | None = None
    """predicted time of the training with its validation"""
    made_for: str = ""
    """digest of the data, the parameters and the minutes that a budget was planned for"""

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, values: Any) -> Any:
        if isinstance(values, dict):
            list(rename_parameters(values))
        return values
