"""How far a landscape falls between each maximum and a higher one."""

import numpy as np
import skimage as ski
from numpy.typing import NDArray

_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Rows and columns to half of the eight neighbours of a pixel; the others have it as theirs."""


def find_prominent_maxima(
    hills: NDArray[np.float32], mask: NDArray[np.bool_], prominence: float
) -> NDArray[np.bool_]:
    """Return the maxima from which every way to a higher one leads down by a prominence at least.

    Ways lead from pixel to pixel, at a side or a corner, within the mask; so the highest maximum of
    a connected piece is prominent. Of equally high maxima that are not apart, one is. Otherwise the
    result is that of `skimage.morphology.h_maxima` within the mask, in a third of its time: a
    watershed that is flooded from all maxima meets at the passes between them, and joining the
    basins from the highest pass down tells at which pass each maximum meets a higher one.

    Args:
        hills: `(height, width)`, from 0 on.
        mask: `(height, width)`.
        prominence: Above 0.

    Returns:
        `(height, width)`: all pixels of a maximum that is a plateau.
    """
    # A mask that fills the image needs lower pixels around it: else a plateau is no maximum.
    inside = np.pad(np.where(mask, hills, np.float32(-1)), 1, constant_values=-1)
    peaks = ski.measure.label(ski.morphology.local_maxima(inside), connectivity=2)
    basins = ski.segmentation.watershed(-inside, peaks, connectivity=2, mask=inside >= 0)
    height = np.zeros(peaks.max() + 1, np.float32)
    height[peaks] = inside
    is_prominent = np.ones(len(height), bool)
    basin_of = list(range(len(height)))

    def root(basin: int) -> int:
        while basin_of[basin] != basin:
            basin_of[basin] = basin = basin_of[basin_of[basin]]
        return basin

    for one, other, level in zip(*_find_passes(basins, inside), strict=True):
        ends = sorted({root(one), root(other)}, key=height.__getitem__)
        if len(ends) == 2:  # else they were joined at a higher pass
            lower, higher = ends
            is_prominent[lower] = height[lower] - level >= prominence
            basin_of[lower] = higher
    is_prominent[0] = False
    return np.asarray(is_prominent[peaks[1:-1, 1:-1]])


def _find_passes(
    basins: NDArray[np.integer], hills: NDArray[np.float32]
) -> tuple[list[int], list[int], list[float]]:
    """Return the pairs of basins that touch, and the highest pass between them, the highest first.

    A pass is as high as the lower one of two neighbouring pixels.
    """
    height, width = basins.shape
    keys, levels = [], []
    for down, right in _NEIGHBOURS:
        here = np.s_[: height - down, max(-right, 0) : width - max(right, 0)]
        there = np.s_[down:, max(right, 0) : width - max(-right, 0)]
        one, other = basins[here], basins[there]
        touch = (one != other) & (one > 0) & (other > 0)
        one, other = one[touch].astype(np.int64), other[touch].astype(np.int64)
        keys.append(np.minimum(one, other) * (basins.max() + 1) + np.maximum(one, other))
        levels.append(np.minimum(hills[here][touch], hills[there][touch]))
    key, level = np.concatenate(keys), np.concatenate(levels)
    order = np.lexsort((-level, key))
    first = order[np.unique(key[order], return_index=True)[1]]
    first = first[np.argsort(-level[first], kind="stable")]
    one, other = np.divmod(key[first], basins.max() + 1)
    return one.tolist(), other.tolist(), level[first].tolist()
