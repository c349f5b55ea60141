"""Predicting with windows that overlap little, blended into each other: quicker, and not exact."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.core.types import Predictor, Probabilities
from unetflow.tiling.windows import predict_tiled, predict_windows

_DEVIATION = 1 / 8
"""Of the Gaussian weights, as a share of a window's edge (Isensee et al. 2021, nnU-Net)."""
_LEAST_WEIGHT = 1e-3
"""Of the middle's: what only one window sees must not vanish in rounding."""


@dataclass(frozen=True)
class BlendedWindow:
    """One window along one axis.

    Attributes:
        start: First input pixel, counted on the padded image, and first output pixel, counted on
            the output.
        stop: One after the last input pixel.
        weights: `(output pixels,)` float32, its part in each; those of all windows add up to 1.
    """

    start: int
    stop: int
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class SeamError:
    """How far blended probabilities are from the exact ones, over all pixels and classes.

    Attributes:
        largest: The largest difference.
        mean: The mean of the differences, without their signs.
    """

    largest: float
    mean: float


def plan_blended_windows(
    length: int, geometry: Geometry, overlap: int, tile: int
) -> list[BlendedWindow]:
    """Cover one axis of an image with windows whose outputs overlap.

    Args:
        length: Pixels of the image along the axis.
        geometry: Of the network; its margin counts for nothing here.
        overlap: By how many output pixels neighbours overlap at least.
        tile: Longest edge of a window; a longer one is used where the network or the overlap
            needs it.

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
    distance = (np.arange(edge - lost) - middle) / (_DEVIATION * (edge - lost))
    bell = np.maximum(np.exp(-(distance**2) / 2), _LEAST_WEIGHT)
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
    batch_size: int = 1,
) -> Probabilities:
    """Predict an image of any size, with as small an overlap as is asked for.

    Where windows overlap, the mean of their outputs is taken, weighted by a Gaussian that is
    highest in a window's middle. Unlike those of `tiling.predict_tiled` the borders of windows
    change the result; `measure_seams` says by how much.

    Args:
        predictor: See `tiling.predict_tiled`.
        image: `(height, width, channels)`.
        geometry: Of the predictor's network.
        overlap: By how many output pixels neighbouring windows overlap at least.
        tile: Longest edge of a window.
        batch_size: Windows for each call of the predictor.

    Returns:
        `(height, width, classes)` float32.
    """
    height, width = image.shape[:2]
    rows = plan_blended_windows(height, geometry, overlap, tile)
    columns = plan_blended_windows(width, geometry, overlap, tile)
    result: Probabilities | None = None
    for r, c, output in predict_windows(predictor, image, geometry, rows, columns, batch_size):
        if result is None:
            edges = (axis[-1].start + len(axis[-1].weights) for axis in (rows, columns))
            result = np.zeros((*edges, output.shape[-1]), np.float32)
        part = result[r.start : r.start + len(r.weights), c.start : c.start + len(c.weights)]
        part += output * np.outer(r.weights, c.weights)[:, :, np.newaxis]
    assert result is not None  # noqa: S101 - an image has at least one window
    return result[:height, :width]


def measure_seams(
    predictor: Predictor,
    image: NDArray[np.generic],
    geometry: Geometry,
    overlap: int,
    tile: int = 1024,
) -> SeamError:
    """Say how far `predict_blended` is from `tiling.predict_tiled` on an image."""
    exact = predict_tiled(predictor, image, geometry, tile)
    blended = predict_blended(predictor, image, geometry, overlap, tile)
    difference = np.abs(blended.astype(np.float64) - exact)
    return SeamError(float(difference.max()), float(difference.mean()))
