"""What may stand in `conf/*/parameters*.yml`, and how it is checked.

Nodes take their parameters as plain dictionaries, which every runner and orchestrator can pass
on, and check them here; a hook checks all of them before a run starts.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from unetflow.config.classes import Value, read_value
from unetflow.config.evaluation import EvaluationParameters
from unetflow.config.loss_terms import parse_formula
from unetflow.config.mask_export import MaskExportParameters
from unetflow.config.optimisation import OptimisationParameters
from unetflow.config.packaging import PackagingParameters
from unetflow.config.retraining import RetrainingParameters
from unetflow.config.validation import Strict
from unetflow.core.errors import InputError
from unetflow.core.geometry import unet_geometry

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class MaskParameters(Strict):
    """What else masks may hold."""

    ignore: list[Any]
    threshold: Annotated[int, Field(ge=1, le=65535)] | None

    @field_validator("ignore")
    @classmethod
    def _read_ignored(cls, values: list[Any]) -> list[Value]:
        return [read_value(value) for value in values]


class SplitParameters(Strict):
    """How samples are split."""

    strategy: Literal["random", "stratified", "contiguous", "given"]
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]
    group: str | None
    folds: Annotated[int, Field(ge=0, le=100)]

    @model_validator(mode="after")
    def _leave_something_to_train(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together leave nothing to train on")
        if self.folds == 1:
            raise ValueError("folds: one fold cannot be held out against others; give 0 or 2 up")
        return self


class LeakageParameters(Strict):
    """What is done about images that are on two sides of the split."""

    duplicates: Literal["stop", "together", "allow"]
    groups: Literal["stop", "allow"]
    distance: Annotated[int, Field(ge=0, le=16)]


class IngestionParameters(Strict):
    """The stage `ingestion`."""

    masks: MaskParameters
    split: SplitParameters
    leakage: LeakageParameters
    max_quarantined_fraction: Share
    max_pixels: Count
    workers: Count


class AugmentationParameters(Strict):
    """The stage `augmentation`; see `augmentation.policy.PolicySettings`."""

    flips: bool
    right_angle_rotations: bool
    rotation: Annotated[float, Field(ge=0, le=180)]
    shift: Share
    scale: Annotated[float, Field(ge=0, lt=1)]
    elastic_grid: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    elastic_displacement: Annotated[float, Field(ge=0)]
    elastic_smoothness: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    brightness: Share
    contrast: Share
    noise: Share

    @model_validator(mode="after")
    def _does_not_fold(self) -> Self:
        if self.elastic_displacement > self.elastic_smoothness:
            raise ValueError(
                f"elastic_displacement: {self.elastic_displacement:g} pixels fold an image whose "
                f"elastic_smoothness is {self.elastic_smoothness:g} pixels; make it smaller than "
                "that, such as 0.5"
            )
        return self


class BudgetParameters(Strict):
    """What a training may take; see `training.planner`."""

    memory_gb: Positive | None
    minutes: Positive | None


class ConstructionParameters(Strict):
    """The stage `construction`; see `unet.build_unet`. What is null is planned."""

    base_filters: Count | None
    depth: Annotated[int, Field(ge=1, le=8)] | None
    normalisation: Literal["batch", "group", "instance", "none"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    padding: Literal["same", "valid"]
    up_activation: Literal["none", "relu"]
    deep_supervision: Annotated[int, Field(ge=0)]
    head: Literal["auto", "sigmoid", "softmax"]


class PlannedConstruction(ConstructionParameters):
    """The same with nothing left to plan."""

    base_filters: Count
    depth: Annotated[int, Field(ge=1, le=8)]


class WeightMapParameters(Strict):
    """How pixels between objects are weighed; see `augmentation.weight_map`."""

    border_weight: Annotated[float, Field(ge=0)] = 10.0
    border_width: Positive = 5.0
    objects: str | None = None


class TrainingParameters(Strict):
    """The stage `training`; see `training.fit.FitSettings`. What is null is planned."""

    epochs: Count | None
    crop_size: Count | None
    crops_per_image: Count | None
    batch_size: Count | None
    foreground_share: Share
    optimiser: Literal["adam", "adamw", "sgd"]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    nesterov: bool
    weight_decay: Annotated[float, Field(ge=0)]
    learning_rate: Positive
    schedule: Literal["constant", "cosine", "poly", "plateau"]
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: Positive | None
    moving_average: Annotated[float, Field(ge=0, lt=1)]
    loss: str
    class_weights: Literal["none", "balanced"] | list[Weight]
    weight_map: WeightMapParameters | None
    memorise_crops: Annotated[int, Field(ge=0)]
    patience: Count
    minutes: Positive | None
    precision: Literal["auto", "float32", "bfloat16"]
    workers: Annotated[int, Field(ge=0)]
    processes: Annotated[int, Field(ge=0)] | None
    tile: Count | None

    @field_validator("loss")
    @classmethod
    def _check_loss(cls, text: str) -> str:
        parse_formula(text)
        return text

    @field_validator("class_weights", mode="wrap")
    @classmethod
    def _check_class_weights(cls, value: Any, read: ValidatorFunctionWrapHandler) -> Any:
        try:
            return read(value)
        except ValidationError:  # two errors, for it is neither of two types
            raise InputError(
                "training.class_weights",
                f"{value!r} is not allowed",
                "Give `none`, `balanced` or a list of positive numbers, the background's first",
            ) from None


class PlannedTraining(TrainingParameters):
    """The same with nothing left to plan."""

    epochs: Count
    crop_size: Count
    crops_per_image: Count
    batch_size: Count
    tile: Count


class Parameters(Strict):
    """All parameters of a run."""

    seed: int
    preset: str
    classes: list[Any]
    """See `read_classes`."""
    ingestion: IngestionParameters
    augmentation: AugmentationParameters
    budget: BudgetParameters
    construction: ConstructionParameters
    training: TrainingParameters
    evaluation: EvaluationParameters
    retraining: RetrainingParameters
    mask_export: MaskExportParameters
    optimisation: OptimisationParameters
    packaging: PackagingParameters
    images: str | None = None
    """Folder of images to segment; the catalog reads it from `--params`."""
    output: str | None = None
    """Folder for their masks, likewise."""
    model: str | None = None
    """Model that the pipelines `inference`, `optimisation` and `packaging` use, likewise."""
    start_from: str | None = None
    """Model whose weights a training begins with; the catalog reads it from `--params`."""
    runs: str | int | float | list[str] | None = None
    """Runs that the pipeline `comparison` compares, likewise; ids may look like numbers."""

    @model_validator(mode="after")
    def _classes_fit(self) -> Self:
        names = [c.get("name") for c in self.classes if isinstance(c, dict)]
        training, levels = self.training, self.construction.deep_supervision
        weights, wanted = training.class_weights, training.weight_map
        if isinstance(weights, list) and len(weights) != len(names):
            raise ValueError(
                f"training.class_weights: it lists {len(weights)} weights for {len(names)} "
                "classes; give one for each class, the background first"
            )
        if wanted is not None and wanted.objects is not None and wanted.objects not in names:
            raise ValueError(
                f"training.weight_map.objects: there is no class '{wanted.objects}'; use one of "
                f"{', '.join(map(str, names))}, or null"
            )
        if self.construction.head == "sigmoid" and len(names) > 2:
            raise ValueError(
                "construction.head: 'sigmoid' gives the probability of one class, and `classes` "
                f"lists {len(names)}; use `softmax` or `auto`"
            )
        if self.construction.depth is not None and levels >= self.construction.depth:
            raise ValueError(
                f"construction.deep_supervision: a U-Net of depth {self.construction.depth} has "
                f"{self.construction.depth - 1} decoder levels below the first, not {levels}"
            )
        return self

    @model_validator(mode="after")
    def _crop_fits_the_network(self) -> Self:
        crop, depth = self.training.crop_size, self.construction.depth
        if crop is None or depth is None:
            return self
        geometry = unet_geometry(depth, self.construction.padding)
        if not geometry.fits(crop):
            raise ValueError(
                f"training.crop_size: {crop} does not fit a U-Net of depth {depth} with "
                f"{self.construction.padding} padding; the nearest sizes that do are "
                f"{geometry.nearest(crop)}"
            )
        return self
