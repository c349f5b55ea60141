"""Outlines and run lengths of the objects of an image, small or large.

The objects of a small image come in the order of their numbers, those of a large one in any order.
"""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.instances.contours import Polygon, trace_outlines
from unetflow.instances.huge_outlines import trace_strips
from unetflow.instances.large_objects import MAX_WINDOW, LargeObjects
from unetflow.instances.objects import Objects, ObjectWindow

AnyObjects: TypeAlias = Objects | LargeObjects
_STRIP = MAX_WINDOW // 4
"""Pixels of a huge object that are read at once."""


def trace(objects: AnyObjects) -> Iterator[tuple[int, list[Polygon]]]:
    """Yield the number and the outlines of each object; see `contours.trace_outlines`."""
    for window in objects.windows():
        corner = np.array([window.columns[0], window.rows[0]])
        for number, polygons in trace_outlines(window.numbers).items():
            yield int(window.members[number - 1]), _move(polygons, corner)
    if isinstance(objects, LargeObjects):
        for number in objects.huge.tolist():
            top, left, bottom, right = objects.boxes[number - 1].tolist()
            with objects.open_mask(number) as read:
                polygons = trace_strips(read, (bottom - top, right - left), _STRIP)
            yield number, _move(polygons, np.array([left, top]))


def _move(polygons: list[Polygon], corner: NDArray[np.int64]) -> list[Polygon]:
    return [[ring + corner for ring in polygon] for polygon in polygons]


def run_lengths(objects: AnyObjects) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield the number and the run lengths of each object in the whole image.

    The image is read column by column; the lengths are those outside, inside, outside ... of the
    object, without masks of the image's size.
    """
    size = objects.shape[0] * objects.shape[1]
    for window in objects.windows():
        members, runs = _find_runs(window, objects.shape[0])
        for number, pairs in zip(members, runs, strict=True):
            yield number, _to_lengths(pairs, size)
    if isinstance(objects, LargeObjects):
        for number in objects.huge.tolist():
            yield number, _to_lengths(_find_huge_runs(objects, number), size)


def _find_runs(window: ObjectWindow, height: int) -> tuple[list[int], list[NDArray[np.int64]]]:
    """Return the objects of a window, and for each the start and end of its runs `(runs, 2)`.

    One pass over the window finds all objects, without a mask for each. Starts and ends are places
    in an image of a height whose columns follow one another.
    """
    numbers = window.numbers
    flat = numbers.ravel(order="F")
    is_start = np.diff(flat, prepend=0) != 0
    is_start[:: numbers.shape[0]] = True  # a run ends with its column
    starts = np.flatnonzero(is_start)
    ends = np.append(starts[1:], len(flat))
    inside = flat[starts] > 0
    starts, ends = starts[inside], ends[inside]
    owners = flat[starts]
    columns, rows = np.divmod(starts, numbers.shape[0])
    first = (columns + window.columns[0]) * height + rows + window.rows[0]
    order = np.argsort(owners, kind="stable")
    pairs = np.stack([first, first + ends - starts], axis=1)[order]
    present, places = np.unique(owners[order], return_index=True)
    return window.members[present - 1].tolist(), np.split(pairs, places[1:])[: len(present)]


def _find_huge_runs(objects: LargeObjects, number: int) -> NDArray[np.int64]:
    """Return start and end of the runs of an object, strip by strip of its columns."""
    top, left, bottom, right = objects.boxes[number - 1].tolist()
    step = max(_STRIP // (bottom - top), 1)
    found = [np.zeros((0, 2), np.int64)]
    with objects.open_mask(number) as read:
        for first in range(left, right, step):
            columns = (first, min(first + step, right))
            mask = read((0, bottom - top), (first - left, columns[1] - left))
            window = ObjectWindow(
                mask.astype(np.uint32), np.array([number]), (top, bottom), columns
            )
            found += _find_runs(window, objects.shape[0])[1]
    return np.concatenate(found)


def _to_lengths(pairs: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return the lengths outside and inside, of starts and ends in an image of a size in pixels."""
    joined = np.flatnonzero(pairs[1:, 0] == pairs[:-1, 1])  # where a run continues
    places = np.delete(pairs.ravel(), np.concatenate([2 * joined + 1, 2 * joined + 2]))
    if places[-1] < size:
        places = np.append(places, size)
    return np.diff(places, prepend=0)
