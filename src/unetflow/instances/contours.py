"""Outlines of objects along the edges of their pixels."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import skimage as ski
from numpy.typing import NDArray

Ring: TypeAlias = NDArray[np.int64]
"""`(corners, 2)`, x and y of each corner in pixels from the image's upper left corner. The first
corner is not repeated, and no three successive corners lie on a line."""
Polygon: TypeAlias = list[Ring]
"""An outer ring, clockwise on the screen, and a counterclockwise ring for each hole."""


def trace_outlines(numbers: NDArray[np.unsignedinteger]) -> dict[int, list[Polygon]]:
    """Trace the outlines of all objects of an image.

    An object has a polygon for each of its parts that touch only at corners, or not at all. So no
    ring touches itself, and two rings of an object share single points at most: the polygons are
    valid according to OGC 06-103r4 (Simple Features).

    The polygons are by the objects' numbers `(height, width)`, 0 for none, in ascending order.
    """
    parts = np.pad(ski.measure.label(numbers, background=0, connectivity=1), 1)
    level, upright = _find_sides(parts)
    polygons: dict[int, dict[int, Polygon]] = defaultdict(dict)
    for ring in close_rings(follow_sides(level, upright)):
        corners = np.stack([level.start[ring], level.end[ring]], axis=1).reshape(-1, 2)
        # The first side of a ring has the object below it: see `_find_sides`.
        x, y = corners[0]
        part = int(level.part[ring[0]])
        polygons[int(numbers[y, x])].setdefault(part, []).append(corners)
    return {number: list(polygons[number].values()) for number in sorted(polygons)}


class Sides(NamedTuple):
    """Straight pieces of outlines, with their object on the right-hand side."""

    part: NDArray[np.int64]  # `(sides,)`, number of the 4-connected part with this outline
    start: NDArray[np.int64]  # `(sides, 2)`, x and y of the start
    end: NDArray[np.int64]  # `(sides, 2)`, x and y of the end
    backwards: NDArray[np.bool_]  # `(sides,)`, whether the side runs to the left or up


def _find_sides(parts: NDArray[np.integer]) -> tuple[Sides, Sides]:
    """Return all level sides, first those at the top of a part row by row, and all upright sides.

    `parts` is `(height + 2, width + 2)`, the number of each pixel's part, 0 along the border.
    """
    top, bottom = find_runs(parts[1:], parts[:-1]), find_runs(parts[:-1], parts[1:])
    columns = np.ascontiguousarray(parts.T)
    right, left = find_runs(columns[:-1], columns[1:]), find_runs(columns[1:], columns[:-1])
    return join_runs(top, bottom, line_axis=1), join_runs(right, left, line_axis=0)


Runs: TypeAlias = tuple[NDArray[np.int64], ...]
"""For each run its part, its line, and the places along the line where it starts and ends."""


def find_runs(inside: NDArray[np.integer], outside: NDArray[np.integer]) -> Runs:
    """Find the runs of pixels of a part that border on another part or the background."""
    edges = np.where(inside == outside, 0, inside)
    flat = edges.ravel()
    # The border is 0, so that no run continues in the next line.
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts, ends = changes[flat[changes] > 0], changes[flat[changes - 1] > 0]
    line, start = np.divmod(starts, edges.shape[1])
    return flat[starts].astype(np.int64), line, start - 1, start - 1 + ends - starts


def join_runs(forwards: Runs, backwards: Runs, line_axis: int) -> Sides:
    """Convert runs to sides, the second ones with start and end exchanged."""
    part, line, start, end = (
        np.concatenate(both) for both in zip(forwards, backwards, strict=True)
    )
    turned = np.arange(len(part)) >= len(forwards[0])
    places = np.where(turned, end, start), np.where(turned, start, end)
    first, last = (np.stack([place, line], axis=1) for place in places)
    if line_axis == 0:
        first, last = first[:, ::-1], last[:, ::-1]
    return Sides(part, first, last, turned)


def follow_sides(level: Sides, upright: Sides) -> NDArray[np.intp]:
    """Return the level side that follows each level side, after an upright one.

    Where a part touches itself at a corner, two of its sides end and two start. The outline then
    turns around the pixel outside the part: right is followed by up, left by down, down by right
    and up by left.
    """
    after_level = _match(_sort(level, level.end), _sort(upright, upright.start, last_first=True))
    after_upright = _match(_sort(upright, upright.end), _sort(level, level.start))
    return after_upright[after_level]


def _sort(
    sides: Sides, corners: NDArray[np.int64], *, last_first: bool = False
) -> NDArray[np.intp]:
    """Sort sides by part, then by one of their corners, then forwards before backwards."""
    direction = ~sides.backwards if last_first else sides.backwards
    return np.lexsort((direction, corners[:, 0], corners[:, 1], sides.part))


def _match(sides: NDArray[np.intp], followers: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the follower of each side, given both in the same order."""
    table = np.empty_like(followers)
    table[sides] = followers
    return table


def close_rings(follower: NDArray[np.intp]) -> Iterator[list[int]]:
    """Yield the sides of each ring, in the order of their first sides."""
    following = follower.tolist()
    done = bytearray(len(following))
    for first in range(len(following)):
        ring = []
        side = first
        while not done[side]:
            done[side] = True
            ring.append(side)
            side = following[side]
        if ring:
            yield ring
