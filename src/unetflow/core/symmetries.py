"""The eight symmetries of a square: rotations by 90 degrees, with and without a reflection."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)

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
"""Quarter turns and whether columns are mirrored first. The first four keep the image's shape."""

MAX_VIEWS = len(_SYMMETRIES)


def apply_symmetry(image: NDArray[Pixel], view: int) -> NDArray[Pixel]:
    """Return one of the eight views of an image.

    Args:
        image: `(height, width, ...)`.
        view: From 0, the image itself, to 7; views from 4 on swap height and width.

    Returns:
        A view of the same memory.
    """
    quarters, mirrored = _SYMMETRIES[view]
    return np.rot90(image[:, ::-1] if mirrored else image, quarters)


def invert_symmetry(image: NDArray[Pixel], view: int) -> NDArray[Pixel]:
    """Undo `apply_symmetry`."""
    quarters, mirrored = _SYMMETRIES[view]
    back = np.rot90(image, -quarters)
    return back[:, ::-1] if mirrored else back
