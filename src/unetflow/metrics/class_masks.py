"""True and predicted mask of one class."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassMasks:
    """True and predicted mask of one class in an image; ignored pixels are in neither.

    Attributes:
        true: `(height, width)`.
        found: The same shape, the prediction.
        counted: The same shape, false where the truth is ignored.
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
