"""Membrane metrics: quality of the partition that boundaries, such as membranes, make."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import expand_labels

from unetflow.metrics.class_masks import ClassMasks
from unetflow.metrics.contingency import Contingency, count_overlaps
from unetflow.metrics.definitions import Definition

_IGNORED = "pixels with label 255 part pieces in truth and prediction alike, and are not counted"
_PIECES = (
    "Pieces are what the class parts: 4-connected regions without it; pixels of the class in the "
    "truth are not counted, and each found one goes to the nearest found piece. After "
    "Arganda-Carreras et al. (2015, doi 10.3389/fnana.2015.00142), who thin borders otherwise"
)
_EMPTY = "1 when no pixel of a true piece is counted, 0 when there is one but no found piece"

DEFINITIONS = {
    "v_rand": Definition(
        "sum p_ij^2 / (sum s_i^2 / 2 + sum t_j^2 / 2), the foreground-restricted Rand score with "
        "alpha 0.5; p_ij, s_i and t_j are the shares of the pixels in found piece i and true piece "
        f"j, in i and in j. {_PIECES}",
        _EMPTY,
        _IGNORED,
    ),
    "v_info": Definition(
        "2 I(S, T) / (H(S) + H(T)), the foreground-restricted information score with alpha 0.5: "
        "the mutual information of found and true pieces over the mean of their entropies. "
        + _PIECES,
        f"{_EMPTY}; 1 when truth and prediction are one piece each, and 0 when only one of them is",
        _IGNORED,
    ),
    "pixel_error": Definition(
        "(FP + FN) / (TP + FP + FN + TN), the share of the pixels that are wrong",
        "0 when no pixel is counted",
        "pixels with label 255 are not counted",
    ),
}


def score_membranes(masks: ClassMasks) -> dict[str, float]:
    """Return the scores of `DEFINITIONS` for the class of the boundaries in one image."""
    wrong = int(np.count_nonzero(masks.true != masks.found))
    error = wrong / max(int(np.count_nonzero(masks.counted)), 1)
    true = _pieces(masks.counted & ~masks.true)
    found = _pieces(masks.counted & ~masks.found)
    if not true.any() or not found.any():
        equal = float(not true.any())
        return {"v_rand": equal, "v_info": equal, "pixel_error": error}
    grown = expand_labels(found, distance=sum(found.shape))
    overlaps = count_overlaps(true, np.where(true > 0, grown, 0))
    return {
        "v_rand": rand_score(overlaps),
        "v_info": information_score(overlaps),
        "pixel_error": error,
    }


def rand_score(overlaps: Contingency) -> float:
    """Return the Rand score of two segmentations of the same pixels; see `DEFINITIONS`."""
    together = float(np.sum(overlaps.pixels.astype(float) ** 2))
    alone = [
        float(np.sum(areas.astype(float) ** 2))
        for areas in (overlaps.true_areas, overlaps.found_areas)
    ]
    return 2 * together / sum(alone)


def information_score(overlaps: Contingency) -> float:
    """Return the information score of two segmentations of the same pixels; see `DEFINITIONS`."""
    both, true, found = (
        _entropy(pixels) for pixels in (overlaps.pixels, overlaps.true_areas, overlaps.found_areas)
    )
    if true + found == 0:
        return 1.0
    # Rounding may exceed the bounds a little.
    return float(np.clip(2 * (true + found - both) / (true + found), 0, 1))


def _pieces(inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    pieces: NDArray[np.int32] = ndimage.label(inside)[0]
    return pieces


def _entropy(pixels: NDArray[np.int64]) -> float:
    shares = pixels[pixels > 0] / pixels.sum()
    return float(-np.sum(shares * np.log(shares)))
