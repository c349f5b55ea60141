"""Tiled prediction of images of any size: exact, or with blended windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.crops import pad_mirrored
from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.core.types import PixelArray, Predictor, Probabilities

_SIGMA = 1 / 8
"""Standard deviation of the Gaussian as a fraction of a window's edge (nnU-Net, Isensee 2021)."""
_MIN_WEIGHT = 1e-3
"""Smallest weight relative to the largest, so that pixels of one window alone stay exact."""


@dataclass(frozen=True)
class Window:
    """The input of a window along one axis, and the part of its output that is used.

    `start` is the first pixel of the padded image, `stop` one after the last. `keep_start` and
    `keep_stop` are the same for the output of the whole image. With `weights`, float32, the used
    part is blended with that of other windows; the weights of all windows at a pixel sum to 1.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int
    weights: NDArray[np.float32] | None = None


class BlendingError(NamedTuple):
    """Absolute difference between blended and exact probabilities over all pixels and classes."""

    largest: float
    mean: float


def plan_windows(length: int, geometry: Geometry, tile: int) -> list[Window]:
    """Cover one axis of an image, `length` pixels long, with windows of equal edges.

    The edge is at most `tile`, unless the network needs more, and the shortest with which this
    number of windows covers the axis: with longer ones, the last one would repeat much of the
    computation of its neighbour. The kept parts follow each other without gap or overlap. The
    padded image starts `geometry.shrink` pixels before the image and ends with the last window.
    """
    stride, lost, margin = geometry.stride, 2 * geometry.shrink, geometry.margin
    whole = geometry.fit(length + lost)
    edge = max(geometry.fit(tile - stride + 1), geometry.fit(lost + 2 * margin + stride))
    if whole <= edge:
        return [Window(0, whole, 0, whole - lost)]
    # Windows of any edge overlap by the same number of pixels, at least.
    overlap = edge - (edge - lost - 2 * margin) // stride * stride
    number = -((overlap - whole) // (edge - overlap))
    step = -((overlap - whole) // (number * stride)) * stride
    starts = [*range(0, whole - overlap - step, step), whole - overlap - step]
    cuts = [0, *(start + margin for start in starts[1:]), whole - lost]
    return [
        Window(start, start + overlap + step, *kept)
        for start, kept in zip(starts, pairwise(cuts), strict=True)
    ]


def plan_blended_windows(length: int, geometry: Geometry, overlap: int, tile: int) -> list[Window]:
    """Cover one axis of an image with windows whose outputs overlap by `overlap` pixels or more.

    An edge is at most `tile`, unless the network or the overlap needs more. The network's margin is
    not used.

    Raises:
        InputError: The overlap is negative.
    """
    if overlap < 0:
        raise InputError("overlap", f"{overlap} is negative", "Use 0 or more pixels")
    lost, stride = 2 * geometry.shrink, geometry.stride
    whole = geometry.fit(length + lost)
    edge = min(whole, max(geometry.fit(tile - stride + 1), geometry.fit(lost + overlap + stride)))
    step = max((edge - lost - overlap) // stride * stride, stride)
    starts = [*range(0, whole - edge, step), whole - edge]
    middle = (edge - lost - 1) / 2
    distance = (np.arange(edge - lost) - middle) / (_SIGMA * (edge - lost))
    bell = np.maximum(np.exp(-(distance**2) / 2), _MIN_WEIGHT)
    total = np.zeros(whole - lost)
    stops = [start + len(bell) for start in starts]
    for start, stop in zip(starts, stops, strict=True):
        total[start:stop] += bell
    return [
        Window(start, start + edge, start, stop, (bell / total[start:stop]).astype(np.float32))
        for start, stop in zip(starts, stops, strict=True)
    ]


def predict_tiled(
    predictor: Predictor, image: PixelArray, geometry: Geometry, tile: int = 1024
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
    rows, columns = (plan_windows(length, geometry, tile) for length in image.shape[:2])
    return _predict_windows(predictor, image, geometry, rows, columns)


def predict_blended(
    predictor: Predictor, image: PixelArray, geometry: Geometry, overlap: int, tile: int = 1024
) -> Probabilities:
    """Predict an image of any size with outputs that overlap by `overlap` pixels or more.

    Overlapping outputs are averaged with Gaussian weights. Unlike in `predict_tiled`, which has the
    same other arguments and result, window borders change the result; `measure_blending_error`
    returns by how much.
    """
    rows, columns = (plan_blended_windows(n, geometry, overlap, tile) for n in image.shape[:2])
    return _predict_windows(predictor, image, geometry, rows, columns)


def measure_blending_error(
    predictor: Predictor, image: PixelArray, geometry: Geometry, overlap: int, tile: int = 1024
) -> BlendingError:
    """Compare `predict_blended` with `predict_tiled` on an image."""
    exact = predict_tiled(predictor, image, geometry, tile)
    blended = predict_blended(predictor, image, geometry, overlap, tile)
    difference = np.abs(blended.astype(np.float64) - exact)
    return BlendingError(float(difference.max()), float(difference.mean()))


def _predict_windows(
    predictor: Predictor,
    image: PixelArray,
    geometry: Geometry,
    rows: Sequence[Window],
    columns: Sequence[Window],
) -> Probabilities:
    """Predict all windows of an image, which is mirrored beyond its border, and join them."""
    (height, width), before = image.shape[:2], geometry.shrink
    below, right = rows[-1].stop - height - before, columns[-1].stop - width - before
    padded = pad_mirrored(image, (before, below), (before, right))
    result: Probabilities | None = None
    for r, c in product(rows, columns):
        pixels = np.ascontiguousarray(padded[r.start : r.stop, c.start : c.stop])
        (output,) = predictor(pixels[np.newaxis])
        if result is None:
            shape = (rows[-1].keep_stop, columns[-1].keep_stop, output.shape[-1])
            result = np.zeros(shape, np.float32)
        part = result[r.keep_start : r.keep_stop, c.keep_start : c.keep_stop]
        used = output[
            r.keep_start - r.start : r.keep_stop - r.start,
            c.keep_start - c.start : c.keep_stop - c.start,
        ]
        if r.weights is None or c.weights is None:
            part[:] = used
        else:
            part += used * np.outer(r.weights, c.weights)[:, :, np.newaxis]
    assert result is not None  # noqa: S101 - an image has at least one window
    return result[:height, :width]
