"""Small objects of a large image, whose pieces may be in several blocks."""

from collections.abc import Callable, Sequence

import numpy as np
import scipy
import skimage as ski
from numpy.typing import NDArray

from unetflow.core.types import Label
from unetflow.inference.blockwise.image_blocks import Block
from unetflow.tiling.regions import Borders


class SmallObjects:
    """Removes small objects block by block, as `postprocessing.remove_small_objects` does at once.

    Objects inside a block are measured there. Pieces at a border are numbered over all blocks, and
    the areas of pieces that touch across a border, at a side or a corner, are added up: memory
    grows with the borders and not with the area.

    Args:
        blocks: All blocks, row by row.
        read: Returns the label of a block, `(height, width)`, of which 1 is the foreground.
        min_size: Smallest object that is kept, in pixels.
    """

    def __init__(
        self, blocks: Sequence[Block], read: Callable[[Block], Label], min_size: int
    ) -> None:
        self._read, self._min_size = read, min_size
        self._first: dict[tuple[int, int], int] = {}
        self._large = self._measure(blocks)

    def clean(self, block: Block) -> Label:
        """Return the label of a block without objects that are small in the whole image."""
        objects = _find_objects(self._read(block))
        stays = np.bincount(objects.ravel()) >= self._min_size
        at_border = _border_objects(objects)
        first = self._first[block.place]
        stays[at_border] = self._large[first : first + len(at_border)]
        stays[0] = False  # the background
        return stays[objects].astype(np.uint8)

    def _measure(self, blocks: Sequence[Block]) -> NDArray[np.bool_]:
        """Return whether each piece at a border belongs to a large object, by its number."""
        borders = Borders(blocks[-1].columns[1])
        areas, pairs, first = [np.zeros(1, np.int64)], [np.zeros((2, 0), np.int64)], 1
        for block in blocks:
            objects = _find_objects(self._read(block))
            at_border = _border_objects(objects)
            self._first[block.place] = first
            numbers = np.zeros(int(objects.max()) + 1, np.int64)
            numbers[at_border] = np.arange(first, first + len(at_border))
            areas.append(np.bincount(objects.ravel())[at_border])
            first += len(at_border)
            pairs.append(np.unique(borders.add(block, objects, numbers), axis=1))
        one, other = np.concatenate(pairs, axis=1)
        graph = scipy.sparse.coo_array(
            (np.ones(len(one), bool), (one, other)), shape=(first, first)
        )
        piece_of = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
        area = np.bincount(piece_of, weights=np.concatenate(areas))
        return np.asarray(area[piece_of] >= self._min_size)


def _find_objects(label: Label) -> NDArray[np.intp]:
    return np.asarray(ski.measure.label(label == 1, connectivity=2), np.intp)


def _border_objects(objects: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the sorted numbers of the objects at the border of their block."""
    border = [objects[0], objects[-1], objects[:, 0], objects[:, -1]]
    found = np.unique(np.concatenate(border))
    return found[found > 0]
