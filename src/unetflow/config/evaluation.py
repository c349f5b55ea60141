"""The parameters of `parameters_evaluation.yml`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from unetflow.config.base import Count, Strict
from unetflow.core.symmetries import MAX_VIEWS

MAX_LOST_OBJECTS = 0.01
"""Largest fraction of the true training objects that the smallest object may cost."""
ScoreFamily = Literal["pixels", "surface", "instances", "centreline", "membranes"]


class CalibrationParameters(Strict):
    """How probabilities are calibrated; see `evaluation.calibration`."""

    pixels: Count = 100_000
    """validation pixels that it is fitted on, drawn at random"""
    bins: int = Field(default=15, ge=2, le=1000)
    """of the reliability curve"""


class UncertaintyParameters(Strict):
    """How test images are predicted for `evaluation.review`."""

    views: int = Field(default=4, ge=0, le=MAX_VIEWS)
    """flips and right-angle rotations of each test image that are compared: 2 to 8, or 0 for
    none"""

    @field_validator("views")
    @classmethod
    def _require_two(cls, views: int) -> int:
        if views == 1:
            raise ValueError("one view cannot differ from itself; give 0 for none, or 2 up to 8")
        return views


class SuspicionParameters(Strict):
    """Which labels are listed for a second look; see `evaluation.review`."""

    z_score: float = Field(default=3.5, gt=0)
    """robust z-score of a training image's loss above which it is listed"""


class ScoreParameters(Strict):
    """Which scores are computed; see `metrics.families`."""

    scores: list[ScoreFamily] = Field(default=["pixels", "surface", "instances"])
    """Families of scores: `pixels` (Dice and similar scores), `surface` (distances between
    outlines), `instances` (single objects, where the samples number them), `centreline` (of vessels
    and cracks), `membranes` (how boundaries separate cells)."""
    surface_tolerance: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    """distance of outlines in pixels that the surface Dice tolerates"""


class EvaluationParameters(ScoreParameters):
    """The stage `evaluation`."""

    threshold_candidates: int = Field(default=99, ge=1, le=999)
    """thresholds between 0 and 1 that are compared on the validation images"""
    max_lost_objects: Annotated[float, Field(ge=0, le=MAX_LOST_OBJECTS)] | None = MAX_LOST_OBJECTS
    """Small objects are removed if that helps on the validation images: fraction of the true
    training objects that may be as small, at most 0.01; null keeps all objects."""
    calibration: CalibrationParameters = CalibrationParameters()
    """one temperature that makes the probabilities match the frequencies"""
    uncertainty: UncertaintyParameters = UncertaintyParameters()
    suspicious_labels: SuspicionParameters = SuspicionParameters()
    gallery_images: Count = 6
    """half of them the worst, half the best, besides up to half as many empty images with false
    alarms; of suspicious labels the worst"""

    @field_validator("scores")
    @classmethod
    def _require_pixels(cls, families: list[ScoreFamily]) -> list[ScoreFamily]:
        if "pixels" not in families:
            raise ValueError("the gallery and the end of the run need the Dice: list `pixels` too")
        return families
