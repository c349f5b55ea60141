"""Areas and overlaps of true and predicted objects."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import contingency_table
from skimage.segmentation import relabel_sequential


@dataclass(frozen=True)
class Contingency:
    """Areas and overlaps of two sets of objects, in pixels.

    Attributes:
        true_areas: `(true objects,)`.
        found_areas: `(found objects,)`.
        true: `(overlaps,)`, index into `true_areas` for each pair that shares pixels.
        found: `(overlaps,)`, index into `found_areas`.
        pixels: `(overlaps,)`, number of shared pixels.
    """

    true_areas: NDArray[np.int64]
    found_areas: NDArray[np.int64]
    true: NDArray[np.int64]
    found: NDArray[np.int64]
    pixels: NDArray[np.int64]


def count_overlaps(true: NDArray[np.integer], found: NDArray[np.integer]) -> Contingency:
    """Count the overlaps of all pairs of objects.

    Args:
        true: `(height, width)`, the number of each pixel's object; 0 where there is none. Numbers
            need not be consecutive.
        found: Likewise, the same shape.

    Returns:
        The counts, in ascending order of the objects' numbers.
    """
    table = contingency_table(
        relabel_sequential(true)[0], relabel_sequential(found)[0], sparse_type="array"
    ).astype(np.int64)
    overlaps = table[1:, 1:].tocoo()
    order = np.lexsort((overlaps.col, overlaps.row))
    return Contingency(
        true_areas=table.sum(axis=1)[1:],
        found_areas=table.sum(axis=0)[1:],
        true=overlaps.row[order].astype(np.int64),
        found=overlaps.col[order].astype(np.int64),
        pixels=overlaps.data[order],
    )
