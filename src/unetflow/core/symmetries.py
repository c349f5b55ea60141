"""The eight symmetries of a square: rotations by 90 degrees, with and without a reflection."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)

_SYMMETRIES = [(half + odd, mirrored) for odd in (0, 1) for mirrored in (0, 1) for half in (0, 2)]
"""Quarter turns and whether columns are mirrored first. The first four keep the image's shape."""
MAX_VIEWS = len(_SYMMETRIES)


def apply_symmetry(image: NDArray[Pixel], view: int) -> NDArray[Pixel]:
    """Return one of the views of an image `(height, width, ...)`, in the same memory.

    View 0 is the image itself; the views 4 to 7 swap height and width.
    """
    quarters, mirrored = _SYMMETRIES[view]
    return np.rot90(image[:, ::-1] if mirrored else image, quarters)


def invert_symmetry(image: NDArray[Pixel], view: int) -> NDArray[Pixel]:
    """Undo `apply_symmetry`."""
    quarters, mirrored = _SYMMETRIES[view]
    back = np.rot90(image, -quarters)
    return back[:, ::-1] if mirrored else back
