"""Rectangles of an image, and what touches across their borders."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Edge: TypeAlias = tuple[slice | int, ...]
"""Index of the pixels along an edge of an array."""
Numbers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Region:
    """A part of an image.

    Attributes:
        place: Its row and column among the regions.
        rows: First row of the image, and one after the last.
        columns: First column of the image, and one after the last.
    """

    place: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    @property
    def slices(self) -> tuple[slice, slice]:
        """The region's part of an array of the whole image."""
        return slice(*self.rows), slice(*self.columns)

    def extend(self, pixels: int, shape: tuple[int, int]) -> "Region":
        """Return the region with so many pixels around it, as far as the image of a shape goes."""
        (top, bottom), (left, right) = self.rows, self.columns
        rows = max(top - pixels, 0), min(bottom + pixels, shape[0])
        columns = max(left - pixels, 0), min(right + pixels, shape[1])
        return Region(self.place, rows, columns)

    def within(self, other: "Region") -> tuple[slice, slice]:
        """Return the region's part of an array of another region around it."""
        top, left = other.rows[0], other.columns[0]
        rows, columns = self.slices
        return (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )

    def cut_edges(self, shape: tuple[int, int]) -> list[Edge]:
        """Return the edges of an array of the region beyond which the image of a shape goes on."""
        (top, bottom), (left, right) = self.rows, self.columns
        every = slice(None)
        edges: list[tuple[Edge, bool]] = [
            ((0, every), top > 0),
            ((-1, every), bottom < shape[0]),
            ((every, 0), left > 0),
            ((every, -1), right < shape[1]),
        ]
        return [edge for edge, is_cut in edges if is_cut]


def plan_regions(shape: tuple[int, int], edge: int) -> Iterator[Region]:
    """Cut an image of a height and width into squares of an edge in pixels, row by row."""
    places = [range(-(-length // edge)) for length in shape]
    for row, column in product(*places):
        (top, bottom), (left, right) = (
            (place * edge, min((place + 1) * edge, length))
            for place, length in zip((row, column), shape, strict=True)
        )
        yield Region((row, column), (top, bottom), (left, right))


class Borders:
    """Finds what touches across the borders of regions that cover an image.

    Only the pixels along borders are kept: one row of the image, and one column of a region.

    Args:
        width: Width of the image.
        connectivity: 1: pixels touch at edges; 2: at corners, too.
    """

    def __init__(self, width: int, connectivity: int = 2) -> None:
        self._width = width
        self._shifts = (0,) if connectivity == 1 else (-1, 0, 1)
        self._above = self._below = np.zeros(width, np.int64)
        self._before = np.zeros(0, np.int64)

    def add(self, region: Region, parts: NDArray[np.integer], numbers: Numbers) -> Numbers:
        """Return the numbers that touch across the borders to earlier regions.

        Args:
            region: The next region, row by row.
            parts: `(height, width)`, the part of the region that each of its pixels belongs to.
            numbers: `(parts,)`, the number of each part in the whole image; 0 for the background.

        Returns:
            `(2, contacts)`: the number of an earlier region and that of this one, for each two
            pixels that touch.
        """
        left, right = region.columns
        if left == 0:
            self._above, self._below = self._below, np.zeros(self._width, np.int64)
            self._before = np.zeros(0, np.int64)
        start = max(left - 1, 0)  # a corner touches the region on its other side
        above = self._above[start : right + 1]
        contacts = [self._touching(above, numbers[parts[0]], left - start)]
        if self._before.size:
            contacts.append(self._touching(self._before, numbers[parts[:, 0]], 0))
        self._below[left:right] = numbers[parts[-1]]
        self._before = numbers[parts[:, -1]]
        return np.concatenate(contacts, axis=1)

    def _touching(self, one: Numbers, other: Numbers, offset: int) -> Numbers:
        """Return the numbers that touch on two neighbouring lines of pixels.

        The second line begins at the position `offset` of the first one.
        """
        places = np.arange(len(other)) + offset
        found = []
        for shift in self._shifts:
            inside = (places + shift >= 0) & (places + shift < len(one))
            pair = np.stack([one[places[inside] + shift], other[inside]])
            found.append(pair[:, pair.all(axis=0)])
        return np.concatenate(found, axis=1)
