"""Exact tiled prediction: windows that overlap by the network's margin."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.crops import pad_mirrored
from unetflow.core.geometry import Geometry
from unetflow.core.types import Predictor, Probabilities


@dataclass(frozen=True)
class Span:
    """The input of one window along one axis, in pixels of the padded image.

    Attributes:
        start: First pixel.
        stop: One after the last.
    """

    start: int
    stop: int


@dataclass(frozen=True)
class Window(Span):
    """A window of which a part of the output is kept.

    Attributes:
        keep_start: First output pixel that is taken from this window, counted on the output.
        keep_stop: One after the last.
    """

    keep_start: int
    keep_stop: int


AnySpan = TypeVar("AnySpan", bound=Span)


def plan_windows(length: int, geometry: Geometry, tile: int) -> list[Window]:
    """Cover one axis of an image with windows.

    Args:
        length: Pixels of the image along the axis.
        geometry: Geometry of the network.
        tile: Longest edge of a window; exceeded where the network needs more.

    Returns:
        Windows of equal length, the shortest with which this number of windows covers the axis.
        Their kept parts follow each other without gap or overlap. The padded image starts
        `geometry.shrink` pixels before the image and ends with the last window.
    """
    stride, lost, margin = geometry.stride, 2 * geometry.shrink, geometry.margin
    whole = geometry.fit(length + lost)
    edge = max(geometry.fit(tile - stride + 1), geometry.fit(lost + 2 * margin + stride))
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
    """Return the largest distance between the starts of two windows of this length."""
    kept = edge - 2 * geometry.shrink - 2 * geometry.margin
    return kept // geometry.stride * geometry.stride


def _shorten(edge: int, whole: int, geometry: Geometry) -> int:
    """Return the shortest length with which the same number of windows covers the padded axis.

    With longer windows, the last one would repeat much of the computation of its neighbour.
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
) -> Probabilities:
    """Predict an image of any size as if it were predicted whole.

    Windows overlap by twice the network's margin, and only the part of each is kept that does not
    depend on pixels outside the window. The image is mirrored at its border where its size does
    not fit the network or valid convolutions need context (arXiv 1505.04597, figure 2).

    Args:
        predictor: Turns `(1, height, width, channels)` into class probabilities
            `(1, height, width, classes)`, smaller by twice `geometry.shrink`.
        image: `(height, width, channels)`.
        geometry: Geometry of the predictor's network.
        tile: Longest edge of a window; exceeded where the network needs more.

    Returns:
        `(height, width, classes)` float32.
    """
    height, width = image.shape[:2]
    rows = plan_windows(height, geometry, tile)
    columns = plan_windows(width, geometry, tile)
    result: Probabilities | None = None
    for r, c, output in predict_windows(predictor, image, geometry, rows, columns):
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
    rows: Sequence[AnySpan],
    columns: Sequence[AnySpan],
) -> Iterator[tuple[AnySpan, AnySpan, Probabilities]]:
    """Predict all windows of an image, which is mirrored where they extend beyond it.

    Args:
        predictor: See `predict_tiled`.
        image: `(height, width, channels)`.
        geometry: Geometry of the predictor's network.
        rows: Windows along the height.
        columns: Windows along the width.

    Yields:
        Each window's row, its column, and its output `(height, width, classes)`.
    """
    height, width = image.shape[:2]
    before = geometry.shrink
    padded = pad_mirrored(
        image,
        (before, rows[-1].stop - height - before),
        (before, columns[-1].stop - width - before),
    )
    for r, c in product(rows, columns):
        pixels = np.ascontiguousarray(padded[r.start : r.stop, c.start : c.stop])
        (output,) = predictor(pixels[np.newaxis])
        yield r, c, output
