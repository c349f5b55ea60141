"""Reduced copies of large images, for overlays and for statistics of their intensities."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import Label
from unetflow.io.lazy_image import LazyImage

EDGE = 2048
"""Longest edge of an overview in pixels."""
_STRIP_NUMBERS = 2**23
"""Number of values that are read at once."""


@dataclass(frozen=True)
class Overview:
    """Reduced copies of an image.

    Attributes:
        step: Edge in pixels of the square that one pixel stands for.
        means: `(height, width, channels)` float32, the mean of each square.
        sample: `(height, width, channels)`, the middle pixel of each square.
    """

    step: int
    means: NDArray[np.float32]
    sample: NDArray[np.generic]


def shrink_image(image: LazyImage, edge: int = EDGE) -> Overview:
    """Reduce an image while reading it once.

    Rows and columns at the end that do not fill a square are left out.

    Args:
        image: The image.
        edge: Longest edge of the overview in pixels; exceeded where the shorter edge would vanish.
    """
    step = min(-(-max(image.shape[:2]) // edge), *image.shape[:2])
    means, sample = [], []
    for strip in _strips(image, step):
        height, width, channels = strip.shape
        squares = strip.reshape(height // step, step, width // step, step, channels)
        means.append(squares.mean(axis=(1, 3), dtype=np.float32))
        sample.append(squares[:, step // 2, :, step // 2].copy())  # a view would keep the strip
    return Overview(step, np.concatenate(means), np.concatenate(sample))


def shrink_label(label: LazyImage, step: int) -> Label:
    """Return the middle pixel of each square of a label; see `Overview.step`."""
    middle = slice(step // 2, None, step)
    strips = [strip[middle, middle, 0].astype(np.uint8) for strip in _strips(label, step)]
    return np.concatenate(strips)


def _strips(image: LazyImage, step: int) -> Iterator[NDArray[np.generic]]:
    """Yield rows of an image that fill squares, without the columns that do not."""
    height, width, channels = image.shape
    height, width = height // step * step, width // step * step
    rows = max(_STRIP_NUMBERS // (width * channels * step), 1) * step
    for first in range(0, height, rows):
        yield image.read((first, min(first + rows, height)), (0, width))
