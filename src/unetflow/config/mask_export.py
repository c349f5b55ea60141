"""What may stand in `conf/*/parameters_mask_export.yml`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from unetflow.config.background import BackgroundRule
from unetflow.config.validation import Strict
from unetflow.core.symmetries import MAX_VIEWS

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ObjectParameters(Strict):
    """How masks become objects; see `instances.ObjectSettings`."""

    method: Literal["components", "watershed"]
    neighbours: Literal["edges", "corners"]
    seed_distance: Count
    seed_height: Positive


class BackgroundParameters(Strict):
    """Which blocks are not looked at; see `io.large_image.BackgroundRule`."""

    least_deviation: Positive | None = None
    least_range: Positive | None = None
    greatest_mean: float | None = None

    @model_validator(mode="after")
    def _declares_something(self) -> Self:
        self.rule()
        return self

    def rule(self) -> BackgroundRule:
        """Return the rule."""
        return BackgroundRule(**self.model_dump())


class LargeParameters(Strict):
    """Which images go block by block, and how; see `inference.segment_image`."""

    from_pixels: Count
    background: BackgroundParameters | None


class MaskExportParameters(Strict):
    """What is made of images, and what computes it; without `objects` there are masks alone."""

    engine: Literal["auto", "keras", "openvino", "onnx"]
    precision: Literal["float32", "bfloat16"]
    probabilities: bool
    views: Annotated[int, Field(ge=1, le=MAX_VIEWS)]
    blended_overlap: Annotated[float, Field(ge=0, le=0.5)] | None
    objects: ObjectParameters | None
    large: LargeParameters
    runner: Literal["local", "dask"]
    workers: Count | None
    scheduler: Annotated[str, Field(pattern=r"^[a-z]+://.+")] | None

    @model_validator(mode="after")
    def _one_kind_of_workers(self) -> Self:
        given = [name for name in ("workers", "scheduler") if getattr(self, name) is not None]
        if self.runner == "local" and given:
            raise ValueError(
                f"{given[0]} counts for the runner 'dask', and it is 'local'; set runner to dask, "
                f"or {given[0]} to null"
            )
        if len(given) > 1:
            raise ValueError(
                "workers are those that Dask begins on this machine, and a scheduler has its own; "
                "set one of them to null"
            )
        return self
