"""What may stand in `conf/*/parameters_evaluation.yml`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from unetflow.imaging.uncertainty import MOST_VIEWS
from unetflow.pipelines.checks import Strict

Count = Annotated[int, Field(ge=1)]


class CalibrationParameters(Strict):
    """How probabilities are made to mean what they say; see `imaging.calibration`."""

    pixels: Count
    bins: Annotated[int, Field(ge=2, le=1000)]


class UncertaintyParameters(Strict):
    """How often a test image is predicted; see `imaging.uncertainty`."""

    views: Annotated[int, Field(ge=0, le=MOST_VIEWS)]

    @field_validator("views")
    @classmethod
    def _take_two(cls, views: int) -> int:
        if views == 1:
            raise ValueError("one view cannot differ from itself; give 0 for none, or 2 up to 8")
        return views


class SuspicionParameters(Strict):
    """Which labels are looked at again; see `imaging.suspicious_labels`."""

    z_score: Annotated[float, Field(gt=0)]


class EvaluationParameters(Strict):
    """The stage `evaluation`."""

    threshold_candidates: Annotated[int, Field(ge=1, le=999)]
    object_size_percentiles: list[Annotated[float, Field(ge=0, le=100)]]
    calibration: CalibrationParameters
    uncertainty: UncertaintyParameters
    suspicious_labels: SuspicionParameters
    gallery_images: Count
    scores: list[Literal["pixels", "surface", "instances", "thin", "membranes"]]
    surface_tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @field_validator("scores")
    @classmethod
    def _pixels_are_needed(cls, families: list[str]) -> list[str]:
        if "pixels" not in families:
            raise ValueError("the gallery and the end of the run need the Dice: list `pixels` too")
        return families
