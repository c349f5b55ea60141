"""What all families of scores share: their definitions, and the masks of a class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Definition:
    """Computation of a score for one class in one image.

    Attributes:
        formula: Formula with the meaning of its symbols and its source.
        empty: Value where the truth, the prediction or both are empty.
        ignored: Treatment of the pixels whose true label is 255.
    """

    formula: str
    empty: str
    ignored: str


def define(ignored: str, scores: Mapping[str, tuple[str, str]]) -> dict[str, Definition]:
    """Define scores that treat ignored pixels alike, each by its formula and `empty`."""
    return {name: Definition(formula, empty, ignored) for name, (formula, empty) in scores.items()}


@dataclass(frozen=True)
class ClassMasks:
    """True and predicted mask `(height, width)` of one class in an image.

    Ignored pixels are in neither, and are false in `counted`.
    """

    true: Mask
    found: Mask
    counted: Mask

    @classmethod
    def of(cls, truth: Label, found: Label, index: int) -> Self:
        """Return the masks of the class `index` of two labels `(height, width)`."""
        counted = truth != IGNORE
        return cls(truth == index, (found == index) & counted, counted)

    def crop(self) -> Self:
        """Crop to the smallest rectangle that contains both masks."""
        either = self.true | self.found
        rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
        if not rows.size:
            return self
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return type(self)(self.true[box], self.found[box], self.counted[box])


def ratio(part: int, whole: int, empty: float = 1.0) -> float:
    """Divide two counts; `empty` is the result where the whole is 0."""
    return part / whole if whole else empty
