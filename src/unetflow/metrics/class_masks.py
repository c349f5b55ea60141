"""One class of an image as two masks."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassMasks:
    """Where one class is, and where it was found. Ignored pixels are in neither.

    Attributes:
        true: `(height, width)`.
        found: The same shape.
        counted: The same shape, false where the truth is ignored.
    """

    true: Mask
    found: Mask
    counted: Mask

    @classmethod
    def of(cls, truth: Label, found: Label, index: int) -> Self:
        """Take one class out of two labels of an image."""
        counted = truth != IGNORE
        return cls(truth == index, (found == index) & counted, counted)

    def crop(self) -> Self:
        """Cut out the smallest rectangle that holds all of the class, true and found."""
        either = self.true | self.found
        rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
        if not rows.size:
            return self
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return type(self)(self.true[box], self.found[box], self.counted[box])
