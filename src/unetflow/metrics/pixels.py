"""Metrics of pixels: agreement of a predicted mask with the truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label
from unetflow.metrics.shared import define, ratio

_COUNTS = "TP, FP, FN and TN count pixels"
_BOTH_EMPTY = "1 when truth and prediction are both empty, 0 when one of them is"

DEFINITIONS = define(
    "pixels with label 255 are not counted",
    {
        "dice": (f"2 TP / (2 TP + FP + FN). {_COUNTS}", _BOTH_EMPTY),
        "iou": (f"TP / (TP + FP + FN). {_COUNTS}", _BOTH_EMPTY),
        "precision": (
            f"TP / (TP + FP). {_COUNTS}",
            "when nothing is predicted, 1 if nothing is there either, else 0",
        ),
        "recall": (f"TP / (TP + FN). {_COUNTS}", "1 when nothing is there"),
        "specificity": (f"TN / (TN + FP). {_COUNTS}", "1 when the class is everywhere"),
        "area_error": (
            f"(FP - FN) / (TP + FN), by how much the found area is too large. {_COUNTS}",
            "0 when truth and prediction are both empty, 1 when only the truth is",
        ),
    },
)


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
        return ratio(both, both + self.false_positive + self.false_negative)

    def scores(self) -> dict[str, float]:
        """Return the scores of `DEFINITIONS`."""
        true = self.true_positive + self.false_negative
        found = self.true_positive + self.false_positive
        excess = self.false_positive - self.false_negative
        return {
            "dice": self.dice,
            "iou": ratio(self.true_positive, true + self.false_positive),
            "precision": ratio(self.true_positive, found, float(self.false_negative == 0)),
            "recall": ratio(self.true_positive, true),
            "specificity": ratio(self.true_negative, self.true_negative + self.false_positive),
            "area_error": ratio(excess, true, float(excess > 0)),
        }


def count_confusion(truth: Label, predicted: NDArray[np.bool_], index: int = 1) -> Confusion:
    """Count the true and false positives and negatives of one class.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        predicted: `(height, width)`, true where the class is predicted.
        index: Index of the class.
    """
    counted = truth != IGNORE
    positive = truth == index
    found = predicted & counted
    hits = int(np.count_nonzero(found & positive))
    false_positive = int(np.count_nonzero(found)) - hits
    false_negative = int(np.count_nonzero(positive)) - hits
    negative = int(np.count_nonzero(counted)) - hits - false_positive - false_negative
    return Confusion(hits, false_positive, false_negative, negative)


def count_by_class(truth: Label, found: Label, classes: int) -> dict[int, Confusion]:
    """Return the pixel counts of each class that counts in an image, by class index.

    With two classes, the foreground counts, even where it is absent. With more, each class except
    the background counts that occurs in the truth or the prediction, outside ignored pixels; where
    none does, all of them count.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        found: `(height, width)` class indices.
        classes: Number of classes, the first of which is the background.
    """
    counts = {index: count_confusion(truth, found == index, index) for index in range(1, classes)}
    present = {index: c for index, c in counts.items() if not c.is_empty}
    return present or counts


def mean_dice(truth: Label, found: Label, classes: int) -> float:
    """Return the mean Dice of the classes of an image that `count_by_class` counts."""
    return float(np.mean([c.dice for c in count_by_class(truth, found, classes).values()]))
