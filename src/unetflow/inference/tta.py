"""Test-time augmentation: the mean prediction over flips and right-angle turns."""

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
    """What several views of one image gave.

    Attributes:
        plain: `(height, width, classes)`, the probabilities of the image as it is.
        mean: The same, the mean over the views.
        spread: `(height, width)` float32, the standard deviation over the views; of several
            classes the largest. It is this and not the entropy of the mean, because the entropy
            is also high where all views agree that a pixel lies on an edge, while a spread shows
            where the network contradicts itself.
    """

    plain: Probabilities
    mean: Probabilities
    spread: NDArray[np.float32]


def predict_views(predict: Predict, image: NDArray[np.generic], views: int) -> Views:
    """Predict several views of an image and lay the results on each other.

    Mean and spread are updated view by view (Welford 1962, Technometrics 4:419), so that no more
    than one prediction is in memory besides.

    Args:
        predict: Turns an image into probabilities of its size.
        image: `(height, width, channels)`.
        views: How many of the 8 symmetries of a square, from 1 on.
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

    In whole images and in tiles it gives the same, as the predictor itself does: windows begin and
    end where the network's poolings do, seen from either side.

    Args:
        predictor: See `tiling.predict_tiled`.
        views: How many of the 8 symmetries of a square, from 1 on.

    Raises:
        InputError: There are no so many.
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
