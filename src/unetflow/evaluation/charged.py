"""The charged Dice of tables of image scores, and the yardsticks that a model has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE, Label
from unetflow.metrics.pixels import ChargedDice, count_confusion

COUNTED = "counted_pixels"
OBJECT_COUNTS = ("true_objects", "found_objects")
_TRUE, _FOUND, _CORRECT = "true_pixels", "found_pixels", "correct_pixels"
_OTSU = "otsu_"


def column_of(score: str, class_name: str) -> str:
    """Return the column of a score of one of several classes."""
    return f"{score}_{class_name}"


def count_pixels(truth: Label, found: Label, classes: Sequence[str]) -> dict[str, int]:
    """Count the pixels of an image that are not ignored, and of each class.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        found: `(height, width)` class indices.
        classes: The names of the classes, the background first.

    Returns:
        `counted_pixels`, `true_pixels`, `found_pixels`, and `correct_pixels`, which are both; with
        more than two classes for each of them, as in `true_pixels_<class>`.
    """
    row = {COUNTED: int(np.count_nonzero(truth != IGNORE))}
    for index, name in enumerate(classes[1:], start=1):
        counts = count_confusion(truth, found == index, index)
        numbers = {
            _TRUE: counts.true_positive + counts.false_negative,
            _FOUND: counts.true_positive + counts.false_positive,
            _CORRECT: counts.true_positive,
        }
        several = len(classes) > 2
        row |= {column_of(key, name) if several else key: n for key, n in numbers.items()}
    return row


def count_otsu_pixels(truth: Label, found: NDArray[np.bool_]) -> dict[str, int]:
    """Count the pixels that Otsu's threshold finds, as in `count_pixels`."""
    counts = count_confusion(truth, found)
    return {
        _OTSU + _FOUND: counts.true_positive + counts.false_positive,
        _OTSU + _CORRECT: counts.true_positive,
    }


def is_count(column: str) -> bool:
    """Return whether a column of `score_images` is no score but a count, or a foreground score."""
    counts = (COUNTED, _TRUE, _FOUND, _CORRECT, _OTSU + _FOUND, _OTSU + _CORRECT, *OBJECT_COUNTS)
    return column == "foreground_score" or column.startswith(counts)


def has_counts(table: pd.DataFrame) -> bool:
    """Return whether a table of scores has counts of pixels, as those of earlier versions lack."""
    return any(str(column).startswith(_TRUE) for column in table)


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of each image and class.

    Attributes:
        classes: The names of the classes, without the background.
        true: `(images, classes)`, true pixels.
        found: The same of found pixels.
        correct: The same of those that are both.
        areas: `(classes,)`, the mean number of true pixels in the images that hold the class.
    """

    classes: tuple[str, ...]
    true: NDArray[np.int64]
    found: NDArray[np.int64]
    correct: NDArray[np.int64]
    areas: NDArray[np.float64]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Self:
        """Read a table of `score_images`; a class that no image holds is left out.

        Raises:
            InputError: The table has no counts.
        """
        names = [str(c).removeprefix(_TRUE) for c in table if str(c).startswith(_TRUE)]
        if not names:
            raise InputError(
                "image_scores",
                "it has no counts of pixels, as an earlier version wrote it",
                "Run the evaluation again: kedro run --pipelines evaluation",
            )
        true, found, correct = (
            table[[key + name for name in names]].to_numpy(np.int64)
            for key in (_TRUE, _FOUND, _CORRECT)
        )
        kept: NDArray[np.bool_] = np.asarray(true.any(axis=0))
        held = (true > 0).sum(axis=0)[kept]
        return cls(
            tuple(n.removeprefix("_") for n, keep in zip(names, kept, strict=True) if keep),
            true[:, kept],
            found[:, kept],
            correct[:, kept],
            true[:, kept].sum(axis=0) / held,
        )

    @property
    def held(self) -> NDArray[np.bool_]:
        """Whether each image holds each class."""
        return self.true > 0

    @property
    def dice(self) -> NDArray[np.float64]:
        """The Dice of each image and class that it holds, else 0."""
        both = np.maximum(self.true + self.found, 1)
        return np.where(self.held, 2 * self.correct / both, 0.0)

    @property
    def charges(self) -> NDArray[np.float64]:
        """The charge of each image for each class that it does not hold, else 0."""
        return np.where(self.held, 0.0, np.minimum(1, self.found / self.areas))

    def mean_credit(self, rows: Sequence[int]) -> float:
        """Return the charged Dice of some images, by the areas of all.

        Where none of them holds foreground, it is their mean charge, negative.
        """
        held, dice, charges = (
            part[list(rows)].sum(axis=0) for part in (self.held, self.dice, self.charges)
        )
        if not held.any():
            return -float(charges.mean()) / len(rows)
        there = held > 0
        return float(np.mean(dice[there] / (held + charges)[there]))

    @property
    def credit(self) -> NDArray[np.float64]:
        """What each image counts, `(images,)`: its Dice less its charges, mean of the classes."""
        each = self.dice - self.charges
        return np.asarray(each.mean(axis=1) if self.classes else np.zeros(len(each)))

    @property
    def charged_dice(self) -> float:
        """The charged Dice; see `metrics.pixels.CHARGED_DICE`. NaN where nothing is held."""
        charged = ChargedDice()
        for index in range(len(self.classes)):
            counts = zip(
                self.true.T[index], self.correct.T[index], self.found.T[index], strict=True
            )
            for true, correct, found in counts:
                charged.add(int(true), int(correct), int(found - correct), index)
        return charged.value

    @property
    def pooled_dice(self) -> NDArray[np.float64]:
        """The Dice of all pixels together of each class."""
        true, found, correct = (n.sum(axis=0) for n in (self.true, self.found, self.correct))
        return np.asarray(2 * correct / (true + found))

    def of_class(self, index: int) -> Self:
        """Return the counts of one class."""
        one = slice(index, index + 1)
        arrays = {key: getattr(self, key)[:, one] for key in ("true", "found", "correct")}
        return replace(self, classes=self.classes[one], areas=self.areas[one], **arrays)

    def finding(self, found: NDArray[np.int64], correct: NDArray[np.int64]) -> Self:
        """Return the counts of another segmentation of the same images."""
        return replace(self, found=found, correct=correct)


def count_found(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return how many pixels of foreground are found in each image of a table."""
    columns = [name for name in table if str(name).startswith(_FOUND)]
    return np.asarray(table[columns].to_numpy(np.int64).sum(axis=1))


def count_yardsticks(table: pd.DataFrame, own: PixelCounts) -> dict[str, PixelCounts]:
    """Return the counts of what a model has to beat, by name, on the images of a table.

    "Finding everything" takes all pixels for one class, the one that gives the highest score.
    """
    nothing = np.zeros_like(own.true)
    others = {"finding nothing": own.finding(nothing, nothing)}
    whole = [_take_all(table, own, index) for index in range(len(own.classes))]
    if whole:
        others["finding everything"] = max(whole, key=lambda counts: counts.charged_dice)
    if _OTSU + _FOUND in table and own.classes:
        found, correct = (table[[_OTSU + key]].to_numpy(np.int64) for key in (_FOUND, _CORRECT))
        others["Otsu's threshold"] = own.finding(found, correct)
    return others


def _take_all(table: pd.DataFrame, own: PixelCounts, index: int) -> PixelCounts:
    found, correct = np.zeros_like(own.true), np.zeros_like(own.true)
    found[:, index] = table[COUNTED].to_numpy(np.int64)
    correct[:, index] = own.true[:, index]
    return own.finding(found, correct)


@dataclass(frozen=True)
class YardstickComparison:
    """The charged Dice of a model beside that of its yardsticks, by name.

    Without any foreground in the images there are no scores: `own` is None.
    """

    own: float | None
    yardsticks: dict[str, float]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Self:
        """Compare on the images of a table of `score_images`."""
        own = PixelCounts.of(table)
        if not own.classes:
            return cls(None, {})
        others = count_yardsticks(table, own)
        return cls(own.charged_dice, {name: c.charged_dice for name, c in others.items()})

    @property
    def strongest(self) -> str:
        """The name of the best yardstick; of equal ones the last, which does most."""
        return max(reversed(self.yardsticks), key=lambda name: self.yardsticks[name])

    @property
    def is_better(self) -> bool | None:
        """Whether the model beats all of them; None where there are no scores."""
        return None if self.own is None else self.own > self.yardsticks[self.strongest]
