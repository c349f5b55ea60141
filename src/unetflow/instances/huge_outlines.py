"""Outlines of an object that is too large to be in memory as a whole."""

from collections import defaultdict
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import scipy
import skimage as ski
from numpy.typing import NDArray

from unetflow.instances.contours import (
    Polygon,
    Runs,
    close_rings,
    find_runs,
    follow_sides,
    join_runs,
)
from unetflow.tiling.regions import Borders, Numbers, Region

ReadMask: TypeAlias = Callable[[tuple[int, int], tuple[int, int]], NDArray[np.bool_]]
"""Reads the pixels of an object within bounds of rows and columns."""


def trace_strips(read: ReadMask, shape: tuple[int, int], max_pixels: int) -> list[Polygon]:
    """Trace the outlines of one object as `contours.trace_outlines` does, strip by strip.

    Level sides are found in strips of rows, upright ones in strips of columns, so that no strip
    cuts a side. Memory grows with the length of the outlines.

    Args:
        read: Reads the object's box, whose first row and column are 0.
        shape: Height and width of the box.
        max_pixels: Pixels of a strip, which has at least one row or column.
    """
    height, width = shape
    tops, bottoms = _find_strip_runs(read, shape, max_pixels, (width, 1))
    lefts, rights = _find_strip_runs(
        lambda rows, columns: read(columns, rows).T, (width, height), max_pixels, (1, width)
    )
    level, upright = join_runs(tops, bottoms, line_axis=1), join_runs(rights, lefts, line_axis=0)
    polygons: dict[int, Polygon] = defaultdict(list)
    for ring in close_rings(follow_sides(level, upright)):
        corners = np.stack([level.start[ring], level.end[ring]], axis=1).reshape(-1, 2)
        polygons[int(level.part[ring[0]])].append(corners)
    return list(polygons.values())


def _find_strip_runs(
    read: ReadMask, shape: tuple[int, int], max_pixels: int, strides: tuple[int, int]
) -> tuple[Runs, Runs]:
    """Find the runs of pixels that border on the row above them, and those on the row below.

    A part of the object, connected at edges, is named after its first pixel: 1 + the sum of the
    row and the column times the strides, of which the pixel has the smallest.
    """
    height, width = shape
    step = max(max_pixels // width, 1)
    borders = Borders(width, connectivity=1)
    names, contacts = [np.zeros(1, np.int64)], [np.zeros((2, 0), np.int64)]
    count = 0
    above: list[Runs] = []
    below: list[Runs] = []
    for place, first in enumerate(range(0, height, step)):
        last = min(first + step, height)
        mask = np.zeros((last - first + 2, width + 2), bool)
        known = slice(max(first - 1, 0), min(last + 1, height))
        mask[known.start - first + 1 : known.stop - first + 1, 1:-1] = read(
            (known.start, known.stop), (0, width)
        )
        parts = np.zeros((last - first, width + 2), np.int64)
        parts[:, 1:-1] = ski.measure.label(mask[1:-1, 1:-1], connectivity=1)
        numbers = np.arange(int(parts.max()) + 1) + count
        numbers[0] = 0
        region = Region((place, 0), (first, last), (0, width))
        contacts.append(np.unique(borders.add(region, parts[:, 1:-1], numbers), axis=1))
        names.append(_name_parts(parts[:, 1:-1], first, strides)[1:])
        count += len(numbers) - 1
        parts[parts > 0] += count - len(numbers) + 1
        above.append(_shift(find_runs(parts, np.where(mask[:-2], parts, 0)), first))
        below.append(_shift(find_runs(parts, np.where(mask[2:], parts, 0)), first + 1))
    one, other = np.concatenate(contacts, axis=1)
    graph = scipy.sparse.coo_array(
        (np.ones(len(one), bool), (one, other)), shape=(count + 1, count + 1)
    )
    group = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
    every = np.concatenate(names)
    lowest = np.full(group.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(lowest, group, every)
    table = lowest[group]
    return _join_strips(above, table), _join_strips(below, table)


def _name_parts(parts: Numbers, first: int, strides: tuple[int, int]) -> Numbers:
    """Return the name of each part of a strip, 0 for the background; see `_find_strip_runs`."""
    names = np.full(int(parts.max()) + 1, np.iinfo(np.int64).max)
    rows, columns = np.nonzero(parts)
    places = 1 + (rows + first) * strides[0] + columns * strides[1]
    np.minimum.at(names, parts[rows, columns], places)
    return names


def _shift(runs: Runs, lines: int) -> Runs:
    part, line, start, end = runs
    return part, line + lines, start, end


def _join_strips(runs: list[Runs], table: Numbers) -> Runs:
    part, line, start, end = (np.concatenate(one) for one in zip(*runs, strict=True))
    return table[part], line, start, end
