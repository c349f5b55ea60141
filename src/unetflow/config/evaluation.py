"""What may stand in `conf/*/parameters_evaluation.yml`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from unetflow.config.validation import Strict
from unetflow.core.symmetries import MOST_VIEWS

Count = Annotated[int, Field(ge=1)]


class CalibrationParameters(Strict):
    """How probabilities are made to mean what they say; see `evaluation.calibration`."""

    pixels: Count
    bins: Annotated[int, Field(ge=2, le=1000)]


class UncertaintyParameters(Strict):
    """How often a test image is predicted; see `evaluation.uncertainty`."""

    views: Annotated[int, Field(ge=0, le=MOST_VIEWS)]

    @field_validator("views")
    @classmethod
    def _take_two(cls, views: int) -> int:
        if views == 1:
            raise ValueError("one view cannot differ from itself; give 0 for none, or 2 up to 8")
        return views


class SuspicionParameters(Strict):
    """Which labels are looked at again; see `evaluation.label_quality`."""

    z_score: Annotated[float, Field(gt=0)]


class EvaluationParameters(Strict):
    """The stage `evaluation`."""

    threshold_candidates: Annotated[int, Field(ge=1, le=999)]
    object_size_percentiles: list[Annotated[float, Field(ge=0, le=100)]]
    calibration: CalibrationParameters
    uncertainty: UncertaintyParameters
    suspicious_labels: SuspicionParameters
    gallery_images: Count
    scores: list[Literal["pixels", "surface", "instances", "centreline", "membranes"]]
    surface_tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @field_validator("scores")
    @classmethod
    def _pixels_are_needed(cls, families: list[str]) -> list[str]:
        if "pixels" not in families:
            raise ValueError("the gallery and the end of the run need the Dice: list `pixels` too")
        return families
