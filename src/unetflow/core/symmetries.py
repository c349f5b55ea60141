"""The eight symmetries of a square."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)
# Quarter turns, and whether columns are mirrored before. The first four keep the image's shape.
_SYMMETRIES = (
    (0, False),
    (2, False),
    (0, True),
    (2, True),
    (1, False),
    (3, False),
    (1, True),
    (3, True),
)
MOST_VIEWS = len(_SYMMETRIES)


def turn(image: NDArray[Pixel], view: int) -> NDArray[Pixel]:
    """Return one of the 8 views of an image; view 0 is the image itself.

    Args:
        image: `(height, width, ...)`.
        view: From 0 to 7; from 4 on height and width change places.
    """
    quarters, mirrored = _SYMMETRIES[view]
    return np.rot90(image[:, ::-1] if mirrored else image, quarters)


def turn_back(image: NDArray[Pixel], view: int) -> NDArray[Pixel]:
    """Undo `turn`."""
    quarters, mirrored = _SYMMETRIES[view]
    back = np.rot90(image, -quarters)
    return back[:, ::-1] if mirrored else back
