"""Predicting an image of any size, window by window, without seams."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.crops import pad_mirrored

Probabilities = NDArray[np.float32]
Predictor = Callable[[NDArray[np.generic]], Probabilities]


@dataclass(frozen=True)
class Geometry:
    """What tiling must know of a network.

    Attributes:
        stride: Windows begin at multiples of this many pixels, as pooling demands.
        remainder: An input edge fits when it leaves this remainder divided by the stride.
        shrink: Pixels that valid convolutions cut off each side; 0 for same convolutions.
        margin: Pixels at an inner border of a window whose output the cut may have changed: the
            network's reach for same convolutions, 0 for valid ones. A multiple of the stride.
    """

    stride: int
    remainder: int
    shrink: int
    margin: int

    def fit(self, edge: int) -> int:
        """Return the smallest input edge that the network takes and that is at least `edge`."""
        return edge + (self.remainder - edge) % self.stride

    def fits(self, edge: int) -> bool:
        """Tell whether the network takes an input of this edge."""
        return edge == self.fit(max(edge, 2 * self.shrink + 1))

    def nearest(self, edge: int) -> str:
        """Name the input edges around this one that the network takes, for a message."""
        above = self.fit(max(edge, 2 * self.shrink + 1))
        below = above - self.stride
        return f"{below} and {above}" if below > 2 * self.shrink else str(above)


def unet_geometry(depth: int, padding: str) -> Geometry:
    """Return what tiling must know of a U-Net.

    With same convolutions, an output pixel looks at 2 pixels to each side for each of the two
    `conv_block`s of a level, counted in that level's pixels of 2^level, and at 1 more for its
    pooling: 4 (2^depth - 1) + 2 2^depth + (2^depth - 1) = 7 2^depth - 5 in all.

    With valid convolutions each `conv_block` cuts off 4 pixels of its level, so that an input
    edge fits when it is 4 (2^depth - 1) more than a multiple of 2^depth.

    Args:
        depth: How often the size is halved.
        padding: "same" or "valid".

    Returns:
        The geometry. It holds for batch normalisation and none; group and instance normalisation
        look at the whole window.
    """
    stride = 2**depth
    if padding == "same":
        reach = 7 * stride - 5
        return Geometry(stride, remainder=0, shrink=0, margin=-(-reach // stride) * stride)
    return Geometry(stride, remainder=-4 % stride, shrink=lost_pixels(depth) // 2, margin=0)


def lost_pixels(depth: int) -> int:
    """Return by how much the output of a valid U-Net of this depth is smaller than its input.

    A level loses 4 pixels before its pooling, twice what is lost below, and 4 after it.
    """
    lost = 4
    for _ in range(depth):
        lost = 4 + 2 * lost + 4
    return lost


@dataclass(frozen=True)
class Window:
    """One window along one axis.

    Attributes:
        start: First input pixel, counted on the padded image.
        stop: One after the last.
        keep_start: First output pixel that this window decides, counted on the output.
        keep_stop: One after the last.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int


class _Placed(Protocol):
    """What all windows have, whatever becomes of their outputs."""

    @property
    def start(self) -> int:
        """First input pixel, counted on the padded image."""

    @property
    def stop(self) -> int:
        """One after the last."""


Stretch = TypeVar("Stretch", bound=_Placed)


def plan_windows(length: int, geometry: Geometry, tile: int) -> list[Window]:
    """Cover one axis of an image with windows.

    Args:
        length: Pixels of the image along the axis.
        geometry: Of the network.
        tile: Longest edge of a window; a longer one is used where the network needs it.

    Returns:
        Windows of equal length whose kept parts follow each other without gap or overlap. The
        padded image begins `geometry.shrink` pixels before the image and ends with the last
        window.
    """
    lost, margin = 2 * geometry.shrink, geometry.margin
    whole = geometry.fit(length + lost)
    edge = max(
        geometry.fit(tile - geometry.stride + 1),
        geometry.fit(lost + 2 * margin + geometry.stride),
    )
    if whole <= edge:
        return [Window(0, whole, 0, whole - lost)]
    edge = _shorten(edge, whole, geometry)
    starts = [*range(0, whole - edge, _step(edge, geometry)), whole - edge]
    cuts = [0, *(start + margin for start in starts[1:]), whole - lost]
    return [
        Window(start, start + edge, cuts[number], cuts[number + 1])
        for number, start in enumerate(starts)
    ]


def _step(edge: int, geometry: Geometry) -> int:
    """Return how far apart windows of this length may begin."""
    kept = edge - 2 * geometry.shrink - 2 * geometry.margin
    return kept // geometry.stride * geometry.stride


def _shorten(edge: int, whole: int, geometry: Geometry) -> int:
    """Return the shortest length with which as many windows cover the padded axis.

    The last of longer ones would compute again much of what the one before has computed.
    """

    def count(edge: int) -> int:
        return 1 - (edge - whole) // _step(edge, geometry)

    number, shorter = count(edge), edge - geometry.stride
    while _step(shorter, geometry) > 0 and count(shorter) == number:
        edge, shorter = shorter, shorter - geometry.stride
    return edge


def predict_tiled(
    predictor: Predictor,
    image: NDArray[np.generic],
    geometry: Geometry,
    tile: int = 1024,
    batch_size: int = 1,
) -> Probabilities:
    """Predict an image of any size.

    An image that fits into one tile is predicted whole. A larger one is cut into windows that
    overlap by twice the network's margin, and of each only the part is kept that the cut cannot
    have changed. Where an edge does not fit the network, and where valid convolutions need
    context, the image is continued by mirroring (as in arXiv 1505.04597, figure 2).

    Args:
        predictor: Turns `(batch, height, width, channels)` into probabilities of the classes,
            `(batch, height, width, classes)`, smaller by the shrinking of valid convolutions.
        image: `(height, width, channels)`.
        geometry: Of the predictor's network.
        tile: Longest edge of a window; a longer one is used where the network needs it.
        batch_size: Windows for each call of the predictor.

    Returns:
        `(height, width, classes)` float32.
    """
    height, width = image.shape[:2]
    rows = plan_windows(height, geometry, tile)
    columns = plan_windows(width, geometry, tile)
    result: Probabilities | None = None
    for r, c, output in predict_windows(predictor, image, geometry, rows, columns, batch_size):
        if result is None:
            shape = (rows[-1].keep_stop, columns[-1].keep_stop, output.shape[-1])
            result = np.empty(shape, np.float32)
        result[r.keep_start : r.keep_stop, c.keep_start : c.keep_stop] = output[
            r.keep_start - r.start : r.keep_stop - r.start,
            c.keep_start - c.start : c.keep_stop - c.start,
        ]
    assert result is not None  # noqa: S101 - an image has at least one window
    return result[:height, :width]


def predict_windows(
    predictor: Predictor,
    image: NDArray[np.generic],
    geometry: Geometry,
    rows: Sequence[Stretch],
    columns: Sequence[Stretch],
    batch_size: int,
) -> Iterator[tuple[Stretch, Stretch, Probabilities]]:
    """Predict the windows of an image, which is continued by mirroring where they reach beyond it.

    Args:
        predictor: See `predict_tiled`.
        image: `(height, width, channels)`.
        geometry: Of the predictor's network.
        rows: The windows along the height, counted on the padded image.
        columns: Likewise along the width.
        batch_size: Windows for each call of the predictor.

    Yields:
        For each window its place along both axes, and its output `(height, width, classes)`.
    """
    height, width = image.shape[:2]
    before = geometry.shrink
    padded = pad_mirrored(
        image,
        (before, rows[-1].stop - height - before),
        (before, columns[-1].stop - width - before),
    )
    windows = list(product(rows, columns))
    for first in range(0, len(windows), batch_size):
        batch = windows[first : first + batch_size]
        outputs = predictor(
            np.stack([padded[r.start : r.stop, c.start : c.stop] for r, c in batch])
        )
        for (r, c), output in zip(batch, outputs, strict=True):
            yield r, c, output
