"""Approximate tiled prediction: windows with a small overlap, blended with Gaussian weights."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.core.types import Predictor, Probabilities
from unetflow.tiling.windows import Span, predict_tiled, predict_windows

_SIGMA = 1 / 8
"""Standard deviation of the Gaussian as a fraction of a window's edge (nnU-Net, Isensee 2021)."""
_MIN_WEIGHT = 1e-3
"""Smallest weight relative to the largest, so that pixels of one window alone stay exact."""


@dataclass(frozen=True)
class BlendedWindow(Span):
    """A window whose whole output is used; it starts at pixel `start` of the output.

    Attributes:
        weights: `(output pixels,)` float32; the weights of all windows at a pixel sum to 1.
    """

    weights: NDArray[np.float32]


class BlendingError(NamedTuple):
    """Difference between blended and exact probabilities over all pixels and classes.

    Attributes:
        largest: Largest absolute difference.
        mean: Mean absolute difference.
    """

    largest: float
    mean: float


def plan_blended_windows(
    length: int, geometry: Geometry, overlap: int, tile: int
) -> list[BlendedWindow]:
    """Cover one axis of an image with windows whose outputs overlap.

    Args:
        length: Pixels of the image along the axis.
        geometry: Geometry of the network; its margin is not used.
        overlap: Minimum overlap of neighbouring outputs in pixels.
        tile: Longest edge of a window; exceeded where the network or the overlap needs more.

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
    for start in starts:
        total[start : start + len(bell)] += bell
    return [
        BlendedWindow(
            start, start + edge, (bell / total[start : start + len(bell)]).astype(np.float32)
        )
        for start in starts
    ]


def predict_blended(
    predictor: Predictor,
    image: NDArray[np.generic],
    geometry: Geometry,
    overlap: int,
    tile: int = 1024,
) -> Probabilities:
    """Predict an image of any size with overlapping windows.

    Overlapping outputs are averaged with Gaussian weights. Unlike in `predict_tiled`, window
    borders change the result; `measure_blending_error` returns by how much.

    Args:
        predictor: As for `predict_tiled`, like `image`, `geometry` and `tile`.
        image: `(height, width, channels)`.
        geometry: Geometry of the predictor's network.
        overlap: Minimum overlap of neighbouring outputs in pixels.
        tile: Longest edge of a window.

    Returns:
        `(height, width, classes)` float32.
    """
    height, width = image.shape[:2]
    rows = plan_blended_windows(height, geometry, overlap, tile)
    columns = plan_blended_windows(width, geometry, overlap, tile)
    result: Probabilities | None = None
    for r, c, output in predict_windows(predictor, image, geometry, rows, columns):
        if result is None:
            edges = (axis[-1].start + len(axis[-1].weights) for axis in (rows, columns))
            result = np.zeros((*edges, output.shape[-1]), np.float32)
        part = result[r.start : r.start + len(r.weights), c.start : c.start + len(c.weights)]
        part += output * np.outer(r.weights, c.weights)[:, :, np.newaxis]
    assert result is not None  # noqa: S101 - an image has at least one window
    return result[:height, :width]


def measure_blending_error(
    predictor: Predictor,
    image: NDArray[np.generic],
    geometry: Geometry,
    overlap: int,
    tile: int = 1024,
) -> BlendingError:
    """Compare `predict_blended` with `predict_tiled` on an image."""
    exact = predict_tiled(predictor, image, geometry, tile)
    blended = predict_blended(predictor, image, geometry, overlap, tile)
    difference = np.abs(blended.astype(np.float64) - exact)
    return BlendingError(float(difference.max()), float(difference.mean()))
