"""Watersheds that are flooded from one seed for each object, in a whole image or a part of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import skimage as ski
from numpy.typing import NDArray

from unetflow.tiling.regions import Edge


class Terrain(NamedTuple):
    """The mask of a class, with what its objects grow from.

    Attributes:
        pieces: `(height, width)` int32, the number of each pixel's connected piece, from 1 on; 0
            outside the mask.
        hills: `(height, width)`, high in the middle of objects; not used without seeds.
        seeds: `(seeds, 2)`, row and column of each.
        connectivity: Across which pixels objects grow: 1 for edges, 2 for corners, too.
    """

    pieces: NDArray[np.int32]
    hills: NDArray[np.floating]
    seeds: NDArray[np.intp]
    connectivity: int


@dataclass(frozen=True)
class PartRule:
    """How the objects of a class are found in a part of an image, as in the whole image.

    Attributes:
        find: Returns the terrain of a mask `(height, width)`. The second argument is the landscape
            of the network's outputs for objects; None where it has none.
        connectivity: See `Terrain`.
        support: A piece has the same seeds in a part of an image as in the whole one if the part
            holds it and this many pixels around it. None: there are no seeds.
        min_size: Parts of a piece with fewer pixels join their neighbours; see
            `flood_large_parts`.
        needs_landscape: Whether `find` needs the landscape.
    """

    find: Callable[[NDArray[np.bool_], NDArray[np.float32] | None], Terrain]
    connectivity: int
    support: int | None = None
    min_size: int = 0
    needs_landscape: bool = False


def flood(terrain: Terrain, seeds: NDArray[np.intp]) -> NDArray[np.int32]:
    """Return the objects that the seeds grow into; a piece without a seed is one object.

    Returns:
        `(height, width)`, the number of each pixel's object; 0 where there is none. The objects of
        the seeds have the numbers from 1 on in the order of the seeds, the pieces without a seed
        the next ones.
    """
    hills, pieces = terrain.hills, terrain.pieces
    if not len(seeds):
        return pieces
    rows, columns = seeds.T
    without = np.ones(int(pieces.max(initial=0)) + 1, bool)
    without[0] = without[pieces[rows, columns]] = False
    table = np.zeros(len(without), np.int32)
    table[without] = len(seeds) + 1 + np.arange(np.count_nonzero(without))
    markers = table[pieces]
    markers[rows, columns] = 1 + np.arange(len(seeds))
    flooded = ski.segmentation.watershed(-hills, markers, terrain.connectivity, mask=pieces > 0)
    return np.asarray(flooded, np.int32)


def flood_large_parts(
    terrain: Terrain, min_size: int, cut: Sequence[Edge] = ()
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Flood a terrain so that no seed grows into a part of a piece that is too small.

    The seeds of small parts are taken away, and the pieces are flooded again: small parts join
    their neighbours. The largest part of a piece always stays.

    Args:
        terrain: The terrain.
        min_size: Smallest part of a piece in pixels.
        cut: Edges beyond which the image continues. Parts there may be larger than they seem, and
            stay.

    Returns:
        The objects as of `flood`, and the seeds that they have grown from.
    """
    seeds = terrain.seeds
    numbers = flood(terrain, seeds)
    if min_size > 1:
        kept = _large_parts(terrain, numbers, min_size, cut)
        if len(kept) < len(seeds):
            return flood(terrain, kept), kept
    return numbers, seeds


def _large_parts(
    terrain: Terrain, numbers: NDArray[np.int32], min_size: int, cut: Sequence[Edge]
) -> NDArray[np.intp]:
    """Return the seeds of parts that are large enough, and of the largest part of each piece."""
    seeds = terrain.seeds
    areas = np.bincount(numbers.ravel(), minlength=len(seeds) + 1)[1 : len(seeds) + 1]
    piece_of = terrain.pieces[tuple(seeds.T)]
    order = np.lexsort((np.arange(len(seeds)), -areas, piece_of))
    first = np.unique(piece_of[order], return_index=True)[1]
    stays = areas >= min_size
    stays[order[first]] = True
    for edge in cut:
        at_edge = np.unique(numbers[edge])
        stays[at_edge[(at_edge > 0) & (at_edge <= len(seeds))] - 1] = True
    return seeds[stays]
