"""Metrics of lines: distances between outlines in pixels, and overlap of centrelines."""

import math

import numpy as np
import scipy
import skimage as ski
from numpy.typing import NDArray

from unetflow.metrics.shared import ClassMasks, Mask, define

_OUTLINE = (
    "Outlines run through the corners of pixels, also along the image's border, each piece counts "
    "by its length (Nikolov et al. 2018, arXiv 1809.04430)"
)
_THINNED = "Centrelines are skeletons after Zhang and Suen (1984)"
_ABSENT = "left out in an image whose truth lacks the class"
_FAR = f"the image's diagonal when nothing is found; {_ABSENT}"
_MISSED = f"0 when nothing is found; {_ABSENT}"

SURFACE = define(
    "pixels with label 255 are taken for pixels without the class in truth and prediction alike",
    {
        "hd95": (
            "95th percentile of the distances from one outline to the other, the larger one of "
            f"both directions, in pixels. {_OUTLINE}",
            _FAR,
        ),
        "surface_distance": (
            "mean of the distances from each outline to the other, both directions together, in "
            f"pixels. {_OUTLINE}",
            _FAR,
        ),
        "surface_dice": (
            f"share of both outlines that lies within the tolerance of the other. {_OUTLINE}",
            _MISSED,
        ),
    },
)

CENTRELINE = define(
    "pixels with label 255 are taken out of truth and prediction before they are thinned",
    {
        "cldice": (
            "harmonic mean of centreline_precision and centreline_recall, the centreline Dice of "
            f"Shit et al. (2021, arXiv 2003.07311). {_THINNED}",
            _MISSED,
        ),
        "centreline_precision": (
            f"share of the found centreline that lies inside the truth. {_THINNED}",
            _MISSED,
        ),
        "centreline_recall": (
            f"share of the true centreline that lies inside what was found. {_THINNED}",
            _MISSED,
        ),
    },
)

_LENGTHS = np.sqrt([0, 0.5, 0.5, 1, 0.5, 1, 2, 0.5, 0.5, 2, 1, 0.5, 1, 0.5, 0.5, 0])
"""Length of outline at a corner of pixels, by which of the four pixels around it are inside."""


def score_surface(masks: ClassMasks, tolerance: float) -> dict[str, float]:
    """Return the scores of `SURFACE`; the tolerance of the surface Dice is in pixels."""
    if not masks.true.any():
        return dict.fromkeys(SURFACE, math.nan)
    if not masks.found.any():
        far = math.hypot(*masks.true.shape)
        return {"hd95": far, "surface_distance": far, "surface_dice": 0.0}
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


def score_centreline(masks: ClassMasks) -> dict[str, float]:
    """Return the scores of `CENTRELINE`."""
    if not masks.true.any():
        return dict.fromkeys(CENTRELINE, math.nan)
    if not masks.found.any():
        return dict.fromkeys(CENTRELINE, 0.0)
    box = masks.crop()
    precision = _share_inside(ski.morphology.skeletonize(box.found), box.true)
    recall = _share_inside(ski.morphology.skeletonize(box.true), box.found)
    both = precision + recall
    return {
        "cldice": 2 * precision * recall / both if both else 0.0,
        "centreline_precision": precision,
        "centreline_recall": recall,
    }


def _corner_codes(mask: Mask) -> NDArray[np.uint8]:
    """Encode which of the four pixels around each corner are in the mask, `(h + 1, w + 1)`."""
    around = np.pad(mask, 1).astype(np.uint8)
    return 8 * around[:-1, :-1] + 4 * around[:-1, 1:] + 2 * around[1:, :-1] + around[1:, 1:]


def _distances(
    codes: NDArray[np.uint8], others: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distance to the other outline and length of each corner, sorted by both."""
    far = scipy.ndimage.distance_transform_edt(_LENGTHS[others] == 0)
    on_outline = _LENGTHS[codes] > 0
    distances, lengths = far[on_outline], _LENGTHS[codes[on_outline]]
    order = np.lexsort((lengths, distances))
    return distances[order], lengths[order]


def _percentile_95(distances: NDArray[np.float64], lengths: NDArray[np.float64]) -> float:
    """Return the distance within which 95 % of an outline's length lies."""
    reached = np.cumsum(lengths) / np.sum(lengths)
    index = int(np.searchsorted(reached, 0.95))
    return float(distances[min(index, len(distances) - 1)])


def _share_inside(line: Mask, mask: Mask) -> float:
    return int(np.count_nonzero(line & mask)) / int(np.count_nonzero(line))
