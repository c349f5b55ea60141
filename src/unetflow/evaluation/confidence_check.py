"""Check of the confidence of objects on test images: does it say how many of them are true?"""

from typing import Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from unetflow.evaluation.calibration import measure_reliability
from unetflow.instances.confidence import TruthSource

BINS = 10
_TRUTHS: dict[TruthSource, str] = {
    "objects": "the objects that the samples number",
    "pieces": "the connected pieces of the foreground, since no validation image numbers its "
    "objects",
}


class ConfidenceBin(BaseModel):
    """Test objects with a confidence from `low` to `high`; means are None where there are none.

    Attributes:
        low: Lower end, which belongs to the bin.
        high: Upper end, which belongs to the next bin; 1 belongs to the last one.
        objects: Number of found objects.
        mean_confidence: Their mean confidence.
        matched_fraction: Fraction of them that match a true object.
    """

    low: float
    high: float
    objects: int
    mean_confidence: float | None
    matched_fraction: float | None


class ConfidenceCheck(BaseModel):
    """The confidence of found test objects beside the fraction of them that match a true one.

    Attributes:
        objects: Number of found objects that have a confidence and could be compared.
        matched: Number of those that match a true object.
        expected_calibration_error: See `definition`.
        brier_score: See `definition`.
        definition: How the numbers were computed.
        bins: The reliability curve.
    """

    model_config = ConfigDict(frozen=True)

    objects: int
    matched: int
    expected_calibration_error: float
    brier_score: float
    definition: str
    bins: list[ConfidenceBin]

    @classmethod
    def of(cls, judged: pd.DataFrame, truth: TruthSource) -> Self | None:
        """Check the objects of `object_matching.judge_objects`; None where none has a confidence.

        Args:
            judged: A row for each object with `confidence` and `matched`.
            truth: What the true objects are.
        """
        known = judged.dropna(subset="confidence")
        if known.empty:
            return None
        confidence = known["confidence"].to_numpy(np.float64)
        matched = known["matched"].to_numpy(bool)
        of_both = np.column_stack([1 - confidence, confidence])
        curve = measure_reliability(of_both, matched.astype(np.uint8), BINS)
        counts = curve.pixels.tolist()
        return cls(
            objects=len(known),
            matched=int(np.count_nonzero(matched)),
            expected_calibration_error=curve.expected_error,
            brier_score=float(np.mean((confidence - matched) ** 2)),
            definition=_define(truth),
            bins=[
                ConfidenceBin(
                    low=number / BINS,
                    high=(number + 1) / BINS,
                    objects=count,
                    mean_confidence=float(curve.mean_probability[number]) if count else None,
                    matched_fraction=float(curve.share_true[number]) if count else None,
                )
                for number, count in enumerate(counts)
            ],
        )


def _define(truth: TruthSource) -> str:
    return (
        "Of all found objects of the test images, without pixels of label 255. An object matches "
        "where its IoU with a true object of its class is above 0.5; true objects are "
        f"{_TRUTHS[truth]}. Expected calibration error: the mean over {BINS} bins of equal width "
        "of |fraction that matches - mean confidence|, weighted by their objects. Brier score: the "
        "mean of (confidence - 1 or 0 for a match or not)^2; 0 is perfect."
    )
