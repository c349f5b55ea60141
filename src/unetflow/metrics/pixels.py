"""Pixel metrics: agreement of a predicted mask with the truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label
from unetflow.metrics.definitions import Definition

_IGNORED = "pixels with label 255 are not counted"
_COUNTS = "TP, FP, FN and TN count pixels"
_BOTH_EMPTY = "1 when truth and prediction are both empty, 0 when one of them is"

DEFINITIONS = {
    "dice": Definition(f"2 TP / (2 TP + FP + FN). {_COUNTS}", _BOTH_EMPTY, _IGNORED),
    "iou": Definition(f"TP / (TP + FP + FN). {_COUNTS}", _BOTH_EMPTY, _IGNORED),
    "precision": Definition(
        f"TP / (TP + FP). {_COUNTS}",
        "when nothing is predicted, 1 if nothing is there either, else 0",
        _IGNORED,
    ),
    "recall": Definition(f"TP / (TP + FN). {_COUNTS}", "1 when nothing is there", _IGNORED),
    "specificity": Definition(
        f"TN / (TN + FP). {_COUNTS}", "1 when the class is everywhere", _IGNORED
    ),
    "area_error": Definition(
        f"(FP - FN) / (TP + FN), by how much the found area is too large. {_COUNTS}",
        "0 when truth and prediction are both empty, 1 when only the truth is",
        _IGNORED,
    ),
}


@dataclass(frozen=True)
class Confusion:
    """Pixel counts of one class in one image."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def is_empty(self) -> bool:
        """Whether the class is neither in the truth nor in the prediction."""
        return not (self.true_positive or self.false_positive or self.false_negative)

    @property
    def dice(self) -> float:
        """Dice coefficient; see `DEFINITIONS`."""
        both = 2 * self.true_positive
        return _ratio(both, both + self.false_positive + self.false_negative, empty=1.0)

    @property
    def iou(self) -> float:
        """Intersection over union; see `DEFINITIONS`."""
        union = self.true_positive + self.false_positive + self.false_negative
        return _ratio(self.true_positive, union, empty=1.0)

    @property
    def precision(self) -> float:
        """Positive predictive value; see `DEFINITIONS`."""
        predicted = self.true_positive + self.false_positive
        return _ratio(self.true_positive, predicted, empty=float(self.false_negative == 0))

    @property
    def recall(self) -> float:
        """Sensitivity; see `DEFINITIONS`."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative, empty=1.0)

    @property
    def specificity(self) -> float:
        """True negative rate; see `DEFINITIONS`."""
        return _ratio(self.true_negative, self.true_negative + self.false_positive, empty=1.0)

    @property
    def area_error(self) -> float:
        """Relative error of the predicted area; see `DEFINITIONS`."""
        excess = self.false_positive - self.false_negative
        true = self.true_positive + self.false_negative
        return _ratio(excess, true, empty=float(excess > 0))


def count_confusion(truth: Label, predicted: NDArray[np.bool_], index: int = 1) -> Confusion:
    """Count the true and false positives and negatives of one class.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        predicted: `(height, width)`, true where the class is predicted.
        index: Index of the class.

    Returns:
        The counts over all pixels that are not ignored.
    """
    counted = truth != IGNORE
    positive = truth == index
    found = predicted & counted
    hits = int(np.count_nonzero(found & positive))
    false_positive = int(np.count_nonzero(found)) - hits
    false_negative = int(np.count_nonzero(positive)) - hits
    return Confusion(
        true_positive=hits,
        false_positive=false_positive,
        false_negative=false_negative,
        true_negative=int(np.count_nonzero(counted)) - hits - false_positive - false_negative,
    )


def count_by_class(truth: Label, found: Label, classes: int) -> dict[int, Confusion]:
    """Return the pixel counts of each class that counts in an image.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        found: `(height, width)` class indices.
        classes: Number of classes, the first of which is the background.

    Returns:
        The counts by class index. With two classes, the foreground counts, even where it is
        absent. With more, each class except the background counts that occurs in the truth or the
        prediction, outside ignored pixels; where none does, all of them count.
    """
    counts = {index: count_confusion(truth, found == index, index) for index in range(1, classes)}
    present = {index: c for index, c in counts.items() if not c.is_empty}
    return present or counts


def mean_dice(truth: Label, found: Label, classes: int) -> float:
    """Return the mean Dice of the classes of an image that `count_by_class` counts."""
    return float(np.mean([c.dice for c in count_by_class(truth, found, classes).values()]))


def score_pixels(confusion: Confusion) -> dict[str, float]:
    """Return the scores of `DEFINITIONS`."""
    return {name: getattr(confusion, name) for name in DEFINITIONS}


def _ratio(part: int, whole: int, empty: float) -> float:
    return part / whole if whole else empty
