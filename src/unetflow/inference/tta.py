"""Test-time augmentation: the mean prediction over flips and right-angle rotations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.symmetries import MAX_VIEWS, apply_symmetry, invert_symmetry
from unetflow.core.types import Predictor, Probabilities

Predict = Callable[[NDArray[np.generic]], Probabilities]


@dataclass(frozen=True)
class Views:
    """Predictions of several views of one image.

    Attributes:
        plain: `(height, width, classes)`, the probabilities of the unchanged image.
        mean: `(height, width, classes)`, the mean over the views.
        spread: `(height, width)` float32, the standard deviation over the views, of several
            classes the largest. Unlike the entropy of the mean, which is also high along edges on
            which all views agree, it shows where the network contradicts itself.
    """

    plain: Probabilities
    mean: Probabilities
    spread: NDArray[np.float32]


def predict_views(predict: Predict, image: NDArray[np.generic], views: int) -> Views:
    """Predict several views of an image.

    Mean and spread are updated view by view (Welford 1962, Technometrics 4:419), so that only one
    more prediction is in memory.

    Args:
        predict: Returns the probabilities of an image.
        image: `(height, width, channels)`.
        views: Number of the 8 symmetries of a square, from 1 on.
    """
    plain = predict(image)
    mean, squares = plain.copy(), np.zeros_like(plain)
    for view in range(1, views):
        found = invert_symmetry(predict(np.ascontiguousarray(apply_symmetry(image, view))), view)
        step = found - mean
        mean += step / np.float32(view + 1)
        squares += step * (found - mean)
    # Rounding may leave a square just below zero.
    spread = np.sqrt(np.maximum(squares, 0) / np.float32(views)).max(axis=2)
    return Views(plain, mean, np.asarray(spread, np.float32))


def average_views(predictor: Predictor, views: int) -> Predictor:
    """Return a predictor that averages over several views of each window.

    Whole images and tiles give the same result: windows begin and end where the network's poolings
    do, seen from either side.

    Args:
        predictor: See `tiling.predict_tiled`.
        views: See `predict_views`; an `InputError` is raised where there are not so many.
    """
    if not 1 <= views <= MAX_VIEWS:
        raise InputError(
            "views", f"there are no {views} views of an image", f"Use 1 to {MAX_VIEWS}"
        )

    def predict(stacked: NDArray[np.generic]) -> Probabilities:
        return np.moveaxis(predictor(np.ascontiguousarray(np.moveaxis(stacked, 2, 0))), 0, 2)

    return lambda windows: np.moveaxis(
        predict_views(predict, np.moveaxis(windows, 0, 2), views).mean, 2, 0
    )
