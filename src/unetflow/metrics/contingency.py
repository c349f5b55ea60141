"""How many pixels each true object shares with each found one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class Contingency:
    """Areas and overlaps of two sets of objects, in pixels.

    Attributes:
        true_areas: `(true objects,)`.
        found_areas: `(found objects,)`.
        true: `(overlaps,)`, the place in `true_areas` of each pair that shares pixels.
        found: `(overlaps,)`, its place in `found_areas`.
        pixels: `(overlaps,)`, how many they share.
    """

    true_areas: NDArray[np.int64]
    found_areas: NDArray[np.int64]
    true: NDArray[np.int64]
    found: NDArray[np.int64]
    pixels: NDArray[np.int64]


def count_overlaps(true: NDArray[np.integer], found: NDArray[np.integer]) -> Contingency:
    """Count the overlaps of all pairs of objects in one pass over the pixels.

    Args:
        true: `(height, width)`, the number of each pixel's object; 0 where there is none. Numbers
            may be left out.
        found: The same shape, likewise.

    Returns:
        The counts, the objects in the order of their numbers.
    """
    true_places, true_areas = _places(true)
    found_places, found_areas = _places(found)
    both = (true_places > 0) & (found_places > 0)
    table = sparse.coo_array(
        (np.ones(int(both.sum()), np.int64), (true_places[both] - 1, found_places[both] - 1)),
        shape=(len(true_areas), len(found_areas)),
    )
    table.sum_duplicates()  # by true object, then by found one
    rows, columns = table.coords
    order = np.lexsort((columns, rows))
    return Contingency(
        true_areas,
        found_areas,
        rows[order].astype(np.int64),
        columns[order].astype(np.int64),
        table.data[order],
    )


def _places(numbers: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the objects without gaps, from 1, and count the pixels of each."""
    if numbers.max(initial=0) > numbers.size:  # a table of so many numbers could fill the memory
        numbers = np.unique(np.append(numbers, 0), return_inverse=True)[1][:-1].reshape(
            numbers.shape
        )
    areas = np.bincount(numbers.ravel())
    areas[:1] = 0
    present = np.flatnonzero(areas)
    places = np.zeros(len(areas), np.int64)
    places[present] = np.arange(1, len(present) + 1)
    return places[numbers], areas[present]
