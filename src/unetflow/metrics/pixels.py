"""Metrics of pixels: agreement of a predicted mask with the truth."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unetflow.core.types import IGNORE, Label
from unetflow.metrics.shared import Definition, define, ratio

_COUNTS = "TP, FP, FN and TN count pixels"
_ABSENT = "left out in an image whose truth lacks the class, whatever is found there"

DEFINITIONS = define(
    "pixels with label 255 are not counted",
    {
        "dice": (f"2 TP / (2 TP + FP + FN). {_COUNTS}", _ABSENT),
        "iou": (f"TP / (TP + FP + FN). {_COUNTS}", _ABSENT),
        "precision": (
            f"TP / (TP + FP). {_COUNTS}",
            f"0 when nothing is found; {_ABSENT}",
        ),
        "recall": (f"TP / (TP + FN). {_COUNTS}", _ABSENT),
        "specificity": (f"TN / (TN + FP). {_COUNTS}", "1 when the class is everywhere"),
        "area_error": (
            f"(FP - FN) / (TP + FN), by how much the found area is too large. {_COUNTS}",
            _ABSENT,
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
        """Dice coefficient; 1 where truth and prediction are both empty."""
        both = 2 * self.true_positive
        return ratio(both, both + self.false_positive + self.false_negative)

    def scores(self) -> dict[str, float]:
        """Return the scores of `DEFINITIONS`; those that are left out are NaN."""
        true = self.true_positive + self.false_negative
        found = self.true_positive + self.false_positive
        excess = self.false_positive - self.false_negative
        return {
            "dice": self.dice if true else math.nan,
            "iou": ratio(self.true_positive, true + self.false_positive) if true else math.nan,
            "precision": ratio(self.true_positive, found, 0.0) if true else math.nan,
            "recall": ratio(self.true_positive, true, math.nan),
            "specificity": ratio(self.true_negative, self.true_negative + self.false_positive),
            "area_error": ratio(excess, true, math.nan),
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


def image_dice(truth: Label, found: Label, classes: int) -> float:
    """Return the mean Dice of the classes that an image holds; NaN where it holds none.

    See `count_by_class` for the arguments.
    """
    counts = count_by_class(truth, found, classes).values()
    held = [c.dice for c in counts if c.true_positive or c.false_negative]
    return float(np.mean(held)) if held else math.nan


CHARGED_DICE = Definition(
    "For each class: the sum of the Dice of the images that hold it, divided by their number plus "
    "the sum of min(1, FP / A) over the images that do not hold it, where A is the mean number of "
    "the class's true pixels in the images that hold it. Then the mean over the classes. Without "
    "images that lack the class it is the mean Dice of the images. To find nothing gives 0. A "
    "false alarm as large as a usual area of the class costs as much as an image where all of it "
    "is missed, and a smaller one in proportion",
    "a class that no image holds is left out; undefined where no image holds any",
    "pixels with label 255 are not counted",
)
"""What epochs, thresholds and object sizes are compared by. It is of a set, not of one image."""


@dataclass
class ChargedDice:
    """The charged Dice of a set of images (see `CHARGED_DICE`), added one at a time.

    The pixel counts of an image may be arrays, one value for each candidate, such as a threshold;
    `values` then has their shape.

    Example:
        ```python
        charged = ChargedDice()
        for sample in samples:
            charged.add_label(sample.label, predict(sample.image), classes=2)
        charged.value
        ```
    """

    _dice: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    """Sum over the images that hold a class, by its index."""
    _areas: dict[int, list[int]] = field(default_factory=dict)
    """The true pixels of a class in each image that holds it."""
    _false: dict[int, list[ArrayLike]] = field(default_factory=dict)
    """The false pixels of a class in each image that does not hold it."""

    def add_label(self, truth: Label, found: Label, classes: int) -> None:
        """Add an image.

        Args:
            truth: `(height, width)` class indices; 255 is ignored.
            found: `(height, width)` class indices.
            classes: Number of classes, the first of which is the background.
        """
        for index in range(1, classes):
            counts = count_confusion(truth, found == index, index)
            true = counts.true_positive + counts.false_negative
            self.add(true, counts.true_positive, counts.false_positive, index)

    def add(
        self, true: int, true_positive: ArrayLike, false_positive: ArrayLike, index: int = 1
    ) -> None:
        """Add the pixel counts of a class in an image.

        Args:
            true: Number of its true pixels.
            true_positive: Found pixels that are true, one number for each candidate.
            false_positive: Found pixels that are not, likewise.
            index: Index of the class.
        """
        if not true:
            self._false.setdefault(index, []).append(false_positive)
            return
        hits = np.asarray(true_positive)
        dice = 2 * hits / (true + hits + np.asarray(false_positive))
        self._dice[index] = self._dice.get(index, np.zeros(())) + dice
        self._areas.setdefault(index, []).append(true)

    @property
    def values(self) -> NDArray[np.float64]:
        """The charged Dice of each candidate; NaN where no image holds foreground."""
        if not self._areas:
            return np.asarray(np.nan)
        return np.asarray(np.mean([self._of_class(index) for index in self._areas], axis=0))

    @property
    def value(self) -> float:
        """The charged Dice of the only candidate."""
        return float(self.values)

    def _of_class(self, index: int) -> NDArray[np.float64]:
        areas, false = self._areas[index], self._false.get(index, [])
        charges = (np.minimum(1, np.asarray(number) / np.mean(areas)) for number in false)
        return np.asarray(self._dice[index] / (len(areas) + sum(charges)))
