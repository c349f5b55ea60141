"""What may stand in `conf/*/parameters*.yml`, and how it is checked.

Nodes take their parameters as plain dictionaries, which every runner and orchestrator can pass
on, and check them here; a hook checks all of them before a run starts.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from unetflow.imaging.errors import InputError
from unetflow.imaging.labels import LabelClass
from unetflow.imaging.tiling import unet_geometry

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    """Refuses names that it does not know, and text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ClassParameters(_Strict):
    """A class and the mask values that mean it."""

    name: Annotated[str, Field(pattern=r"^\w[\w -]*$")]
    values: Any

    @field_validator("values")
    @classmethod
    def _read_values(cls, values: Any) -> tuple[int, ...] | None:
        listed = values if isinstance(values, list) else [values]
        if listed == ["rest"]:
            return None
        if not listed or not all(type(value) is int and value >= 0 for value in listed):
            raise ValueError(f"{values!r} is not a mask value, a list of mask values, or `rest`")
        return tuple(listed)

    def to_label_class(self) -> LabelClass:
        """Return what the imaging floor works with."""
        return LabelClass(self.name, self.values)


class SplitParameters(_Strict):
    """How samples are split."""

    strategy: Literal["random", "contiguous"]
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _leave_something_to_train(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together leave nothing to train on")
        return self


class IngestionParameters(_Strict):
    """The stage `ingestion`."""

    split: SplitParameters
    max_quarantined_fraction: Share
    max_pixels: Count


class AugmentationParameters(_Strict):
    """The stage `augmentation`; see `imaging.augmentation.build_policy`."""

    flips: bool
    right_angle_rotations: bool
    brightness: Share
    contrast: Share
    noise: Share
    elastic_displacement: Annotated[float, Field(ge=0)]
    elastic_smoothness: Positive


class ConstructionParameters(_Strict):
    """The stage `construction`; see `unet.build_unet`."""

    base_filters: Count
    depth: Annotated[int, Field(ge=1, le=8)]
    normalisation: Literal["batch", "group", "instance", "none"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    padding: Literal["same", "valid"]


class TrainingParameters(_Strict):
    """The stage `training`; see `unet.fit.FitSettings`."""

    epochs: Count
    crop_size: Count
    crops_per_image: Count
    batch_size: Count
    optimiser: Literal["adam", "adamw", "sgd"]
    learning_rate: Positive
    schedule: Literal["cosine", "constant"]
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    cross_entropy_weight: Annotated[float, Field(ge=0)]
    dice_weight: Annotated[float, Field(ge=0)]
    patience: Count
    workers: Annotated[int, Field(ge=0)]
    tile: Count

    @model_validator(mode="after")
    def _minimise_something(self) -> Self:
        if self.cross_entropy_weight + self.dice_weight == 0:
            raise ValueError("cross_entropy_weight and dice_weight cannot both be 0")
        return self


class EvaluationParameters(_Strict):
    """The stage `evaluation`."""

    threshold_candidates: Annotated[int, Field(ge=1, le=999)]
    gallery_images: Count


class Parameters(_Strict):
    """All parameters of a run."""

    seed: int
    preset: str
    classes: list[Any]
    """See `read_classes`."""
    ingestion: IngestionParameters
    augmentation: AugmentationParameters
    construction: ConstructionParameters
    training: TrainingParameters
    evaluation: EvaluationParameters
    images: str | None = None
    """Folder of images for the stage `mask_export`; the catalog reads it from `--params`."""
    output: str | None = None
    """Folder for their masks, likewise."""

    @model_validator(mode="after")
    def _crop_fits_the_network(self) -> Self:
        geometry = unet_geometry(self.construction.depth, self.construction.padding)
        if not geometry.fits(self.training.crop_size):
            raise ValueError(
                f"training.crop_size: {self.training.crop_size} does not fit a U-Net of depth "
                f"{self.construction.depth} with {self.construction.padding} padding; the nearest "
                f"sizes that do are {geometry.nearest(self.training.crop_size)}"
            )
        return self


Model = TypeVar("Model", bound=BaseModel)


def read_parameters(model: type[Model], values: Mapping[str, Any], prefix: str = "") -> Model:
    """Check a dictionary of parameters.

    Args:
        model: What it must look like.
        values: The dictionary.
        prefix: Where it stands among all parameters, such as "training".

    Returns:
        The checked parameters.

    Raises:
        InputError: A name is unknown or missing, or a value is out of range.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = list(_explain(error, model, prefix))
    if len(problems) == 1:
        raise problems[0]
    listing = "\n".join(f"  {problem}" for problem in problems)
    raise InputError("parameters", f"several are wrong:\n{listing}\n", "Correct them all")


def read_classes(values: Any) -> list[LabelClass]:
    """Check the parameter `classes`: a list of two, each as in `ClassParameters`.

    Raises:
        InputError: It is not such a list, or a name or a value stands twice.
    """
    if not isinstance(values, list) or len(values) != 2 or not isinstance(values[0], dict):
        raise InputError(
            "classes",
            "it is not a list of two classes, the background first",
            "Write each as `- {name: NAME, values: VALUE}`",
        )
    classes = [read_parameters(ClassParameters, v, "classes").to_label_class() for v in values]
    claimed = [str(value) for c in classes for value in (c.values or ["rest"])]
    names = [c.name for c in classes]
    for kind, items in (("mask value", claimed), ("name", names)):
        double = [item for item in items if items.count(item) > 1]
        if double:
            raise InputError("classes", f"the {kind} '{double[0]}' stands twice", "Remove one")
    return classes


def _explain(error: ValidationError, model: type[BaseModel], prefix: str) -> Iterator[InputError]:
    for detail in error.errors(include_url=False):
        path = [str(part) for part in detail["loc"]]
        where = ".".join([prefix, *path] if prefix else path) or "parameters"
        if detail["type"] == "extra_forbidden":
            known = _fields(model, path[:-1])
            similar = difflib.get_close_matches(path[-1], known, n=1)
            mend = f"Did you mean '{similar[0]}'" if similar else f"Known: {', '.join(known)}"
            yield InputError(where, "there is no such parameter", mend)
        elif detail["type"] == "missing":
            yield InputError(where, "the parameter is missing", "Add it")
        elif detail["type"] == "value_error":
            yield InputError(where, str(detail["ctx"]["error"]), "Correct it")
        else:
            problem = f"{detail['input']!r} is not allowed"
            yield InputError(where, problem, detail["msg"])


def _fields(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the names of a section's parameters."""
    for part in path:
        field = model.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type):
            return []
        model = field.annotation
    return list(model.model_fields)
