"""Surface metrics: distances between predicted and true outlines, in pixels."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetflow.metrics.class_masks import ClassMasks, Mask
from unetflow.metrics.definitions import Definition

_FAR = "0 when truth and prediction are both empty; the image's diagonal when one of them is"
_IGNORED = (
    "pixels with label 255 are taken for pixels without the class in truth and prediction alike"
)
_OUTLINE = (
    "Outlines run through the corners of pixels, also along the image's border, each piece counts "
    "by its length (Nikolov et al. 2018, arXiv 1809.04430)"
)

DEFINITIONS = {
    "hd95": Definition(
        "95th percentile of the distances from one outline to the other, the larger one of both "
        f"directions, in pixels. {_OUTLINE}",
        _FAR,
        _IGNORED,
    ),
    "surface_distance": Definition(
        "mean of the distances from each outline to the other, both directions together, in "
        f"pixels. {_OUTLINE}",
        _FAR,
        _IGNORED,
    ),
    "surface_dice": Definition(
        "share of both outlines that lies within the tolerance of the other. " + _OUTLINE,
        "1 when truth and prediction are both empty, 0 when one of them is",
        _IGNORED,
    ),
}

_LENGTHS = np.sqrt([0, 0.5, 0.5, 1, 0.5, 1, 2, 0.5, 0.5, 2, 1, 0.5, 1, 0.5, 0.5, 0])
"""Length of outline at a corner of pixels, by which of the four pixels around it are inside."""


def score_surface(masks: ClassMasks, tolerance: float) -> dict[str, float]:
    """Return the scores of `DEFINITIONS` for one class in one image.

    Args:
        masks: True and predicted mask.
        tolerance: Tolerance of the surface Dice, in pixels.
    """
    if not masks.true.any() or not masks.found.any():
        equal = not masks.true.any() and not masks.found.any()
        far = 0.0 if equal else math.hypot(*masks.true.shape)
        return {"hd95": far, "surface_distance": far, "surface_dice": float(equal)}
    box = masks.crop()
    true, found = _corner_codes(box.true), _corner_codes(box.found)
    sides = [_distances(true, found), _distances(found, true)]
    distances, lengths = (np.concatenate(both) for both in zip(*sides, strict=True))
    within = sum(float(piece[far <= tolerance].sum()) for far, piece in sides)
    return {
        "hd95": max(_percentile_95(*side) for side in sides),
        "surface_distance": float(np.average(distances, weights=lengths)),
        "surface_dice": within / sum(float(piece.sum()) for _, piece in sides),
    }


def _corner_codes(mask: Mask) -> NDArray[np.uint8]:
    """Encode which of the four pixels around each corner are in the mask, `(h + 1, w + 1)`."""
    around = np.pad(mask, 1).astype(np.uint8)
    return 8 * around[:-1, :-1] + 4 * around[:-1, 1:] + 2 * around[1:, :-1] + around[1:, 1:]


def _distances(
    codes: NDArray[np.uint8], others: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distance of each corner of an outline to the other outline, and its length.

    Both are sorted by distance, then by length.
    """
    far = ndimage.distance_transform_edt(_LENGTHS[others] == 0)
    on_outline = _LENGTHS[codes] > 0
    distances, lengths = far[on_outline], _LENGTHS[codes[on_outline]]
    order = np.lexsort((lengths, distances))
    return distances[order], lengths[order]


def _percentile_95(distances: NDArray[np.float64], lengths: NDArray[np.float64]) -> float:
    """Return the distance within which 95 % of an outline's length lies."""
    reached = np.cumsum(lengths) / np.sum(lengths)
    index = int(np.searchsorted(reached, 0.95))
    return float(distances[min(index, len(distances) - 1)])
