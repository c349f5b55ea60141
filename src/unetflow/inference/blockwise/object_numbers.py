"""Objects of a large image, numbered region by region; an object across borders is one object.

Each region is separated with a halo around it, by the same rule as a whole image. An object that
has grown from a seed is known by the place of its seed, which is the same in all regions. Parts
without a seed belong to each other where they touch across a border.

The result is exactly that of the whole image for connected components. For a watershed it is, too,
where each connected piece of a class is at most `HALO` pixels high and wide, but for pixels where
floods of equally high seeds meet: a heap decides these by the order of all seeds in the image.
Larger pieces are cut at the halo. Seeds within it are those of the whole image, so objects that are
small against the halo are, too; a part that no seed within the halo has reached joins the object
that it touches along most pixels of a border.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from unetflow.core.types import IGNORE
from unetflow.instances.watershed import PartRule, flood_large_parts
from unetflow.tiling.regions import Borders, Numbers, Region, plan_regions

REGION = 1536
"""Edge of a region in pixels. Larger ones spend less on halos, and take more memory."""
HALO = 256
"""Pixels around a region that its objects depend on, besides what their seeds depend on."""
_NO_SEED = -1


class FoundObjects(NamedTuple):
    """The objects of a large image, in the order of their numbers from 1 on.

    Attributes:
        classes: `(objects,)` uint8, the class index of each.
        boxes: `(objects, 4)` int64: first row and column, and those after the last ones.
    """

    classes: NDArray[np.uint8]
    boxes: Numbers


def number_regions(
    rule: PartRule,
    label: Any,
    landscape: Any | None,
    numbers: Any,
    *,
    edge: int = REGION,
    halo: int = HALO,
) -> FoundObjects:
    """Number the objects of an image whose arrays are read and written region by region.

    Memory grows with the number of the objects and with the borders of the regions.

    Args:
        rule: How objects are found.
        label: Array `(height, width)` uint8, class indices.
        landscape: Array `(height, width)` float32; None where the rule needs none.
        numbers: Array `(height, width)` uint32 for the number of each pixel's object; 0 where there
            is none. Objects are numbered in the order of their first pixels, row by row.
        edge: Edge of a region in pixels.
        halo: See `HALO`.
    """
    height, width = label.shape
    registry = _Registry((height, width), rule.connectivity)
    reach = 0 if rule.support is None else halo + rule.support
    for region in plan_regions((height, width), edge):
        window = region.extend(reach, (height, width))
        hills = None if landscape is None else np.asarray(landscape[window.slices])
        parts = _find_parts(rule, region, window, np.asarray(label[window.slices]), hills, registry)
        numbers[region.slices] = registry.add(region, parts)[parts.numbers]
    table, found = registry.resolve()
    for region in plan_regions((height, width), edge):
        numbers[region.slices] = table[np.asarray(numbers[region.slices])]
    return found


class _Parts(NamedTuple):
    """The parts of objects in a region.

    Attributes:
        numbers: `(height, width)` int32, the part of each pixel, from 1 on; 0 where there is none.
        classes: `(parts,)` uint8.
        seeds: `(parts,)`, the place of each one's seed in the flattened image, or `_NO_SEED`.
    """

    numbers: NDArray[np.int32]
    classes: NDArray[np.uint8]
    seeds: Numbers


def _find_parts(
    rule: PartRule,
    region: Region,
    window: Region,
    label: NDArray[np.uint8],
    landscape: NDArray[np.float32] | None,
    registry: "_Registry",
) -> _Parts:
    """Separate the objects of a window, and return their parts in the region within it."""
    shape, inside = registry.shape, region.within(window)
    numbers, count = np.zeros(region.shape, np.int32), 0
    classes, seeds = [np.zeros(0, np.uint8)], [np.zeros(0, np.int64)]
    for index in np.setdiff1d(label[inside], (0, IGNORE)):
        terrain = rule.find(label == index, landscape)
        found, kept = flood_large_parts(terrain, rule.min_size, window.cut_edges(shape))
        own = found[inside]
        present = np.flatnonzero(np.bincount(own.ravel())[1:]) + 1
        table = np.zeros(int(present.max()) + 1, np.int32)
        table[present] = count + np.arange(1, len(present) + 1)
        numbers += table[own]
        count += len(present)
        places = np.full(len(present), _NO_SEED, np.int64)
        has_seed = present <= len(kept)
        rows, columns = kept[present[has_seed] - 1].T
        places[has_seed] = (rows + window.rows[0]) * shape[1] + columns + window.columns[0]
        classes.append(np.full(len(present), index, np.uint8))
        seeds.append(places)
    return _Parts(numbers, np.concatenate(classes), np.concatenate(seeds))


class _Registry:
    """What is known of the objects of all regions so far, by preliminary numbers from 1 on.

    Args:
        shape: Height and width of the image.
        connectivity: See `Borders`.
    """

    def __init__(self, shape: tuple[int, int], connectivity: int) -> None:
        self.shape = shape
        self._borders = Borders(shape[1], connectivity)
        self._by_seed: dict[int, int] = {}
        self._count = 0
        self._records: list[Numbers] = []
        self._contacts = [np.zeros((3, 0), np.int64)]

    def add(self, region: Region, parts: _Parts) -> Numbers:
        """Record the parts of the next region, row by row.

        Returns:
            `(parts + 1,)`: the number of each part; 0 for the background.
        """
        numbers = np.zeros(len(parts.seeds) + 1, np.int64)
        for part, seed in enumerate(parts.seeds.tolist(), start=1):
            known = self._by_seed.get(seed, 0)
            if not known:
                self._count = known = self._count + 1
                if seed != _NO_SEED:
                    self._by_seed[seed] = known
            numbers[part] = known
        self._records.append(
            np.column_stack(
                [numbers[1:], parts.classes, parts.seeds, _locate(region, parts, self.shape[1])]
            )
        )
        pairs, counts = np.unique(
            self._borders.add(region, parts.numbers, numbers), axis=1, return_counts=True
        )
        self._contacts.append(np.vstack([pairs, counts]))
        return numbers

    def resolve(self) -> tuple[NDArray[np.uint32], FoundObjects]:
        """Return the final number of each preliminary one, 0 first, and the objects."""
        empty = np.zeros((0, 8), np.int64)
        numbers, classes, seeds, first, *boxes = np.concatenate([empty, *self._records]).T
        class_of = np.zeros(self._count + 1, np.uint8)
        is_loose = np.ones(self._count + 1, bool)
        class_of[numbers], is_loose[numbers] = classes, seeds == _NO_SEED
        one, other, length = np.concatenate(self._contacts, axis=1)
        same = class_of[one] == class_of[other]
        owner = _join_loose(one[same], other[same], length[same], is_loose)
        firsts = np.full(self._count + 1, np.prod(self.shape), np.int64)
        np.minimum.at(firsts, owner[numbers], first)
        owners = np.unique(owner[1:])
        owners = owners[np.argsort(firsts[owners])]
        table = np.zeros(self._count + 1, np.uint32)
        table[owners] = np.arange(1, len(owners) + 1)
        table[1:] = table[owner[1:]]
        final = table[numbers].astype(np.int64) - 1
        top, left, bottom, right = np.zeros((4, len(owners)), np.int64)
        top[:], left[:] = self.shape
        for ufunc, bound, box in zip(
            (np.minimum, np.minimum, np.maximum, np.maximum),
            (top, left, bottom, right),
            boxes,
            strict=True,
        ):
            ufunc.at(bound, final, box)
        return table, FoundObjects(class_of[owners], np.stack([top, left, bottom, right], axis=1))


def _locate(region: Region, parts: _Parts, width: int) -> Numbers:
    """Return the first pixel and the box of each part, `(parts, 5)`; see `FoundObjects.boxes`.

    The pixel is a place in the flattened image, which has a width.
    """
    count, numbers = len(parts.seeds), parts.numbers.ravel()
    inside = np.flatnonzero(numbers)
    first = np.full(count + 1, numbers.size)
    np.minimum.at(first, numbers[inside], inside)
    rows, columns = np.divmod(first[1:], max(region.shape[1], 1))
    top, left = region.rows[0], region.columns[0]
    boxes = np.zeros((count, 4), np.int64)
    for part, (own_rows, own_columns) in enumerate(scipy.ndimage.find_objects(parts.numbers)):
        boxes[part] = own_rows.start, own_columns.start, own_rows.stop, own_columns.stop
    places = (rows + top) * width + columns + left
    return np.column_stack([places, boxes + np.array([top, left, top, left])])


def _join_loose(
    one: Numbers, other: Numbers, length: Numbers, is_loose: NDArray[np.bool_]
) -> Numbers:
    """Return the object that each part belongs to, as the number of one of its parts.

    Parts without a seed that touch are one object, or belong to the object with a seed that they
    touch along most pixels; of equal ones to the first.

    Args:
        one: `(contacts,)`, numbers of parts that touch those of `other`.
        other: See `one`.
        length: `(contacts,)`, number of the pixels along which they touch.
        is_loose: Whether each number's part has no seed, 0 included.
    """
    size = len(is_loose)
    both = is_loose[one] & is_loose[other]
    graph = scipy.sparse.coo_array(
        (np.ones(both.sum(), bool), (one[both], other[both])), shape=(size, size)
    )
    group = scipy.sparse.csgraph.connected_components(graph, directed=False)[1].astype(np.int64)
    # Each group is named after its first part.
    name = np.zeros(group.max(initial=0) + 1, np.int64)
    name[group[::-1]] = np.arange(size)[::-1]
    owner = name[group]
    mixed = is_loose[one] != is_loose[other]
    loose = owner[np.where(is_loose[one], one, other)[mixed]]
    seeded = np.where(is_loose[one], other, one)[mixed]
    pairs, places = np.unique(np.stack([loose, seeded]), axis=1, return_inverse=True)
    contact = np.bincount(places.ravel(), weights=length[mixed], minlength=pairs.shape[1])
    order = np.lexsort((pairs[1], -contact, pairs[0]))
    chosen, first = np.unique(pairs[0][order], return_index=True)
    target = np.arange(size)
    target[chosen] = pairs[1][order][first]
    return np.asarray(target[owner])
