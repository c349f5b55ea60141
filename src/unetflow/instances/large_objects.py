"""Objects of an image whose numbers are in a file and never in memory as a whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetflow.instances.huge_outlines import ReadMask
from unetflow.instances.objects import ClassedObjects, ObjectWindow
from unetflow.io.image_file import open_large
from unetflow.io.lazy_image import LazyImage

CELL = 1024
"""Edge of the squares of an image whose objects are read at once, in pixels."""
OVERHANG = 256
"""Pixels by which an object may extend beyond the square that its box begins in."""
MAX_WINDOW = 2**22
"""Pixels of the largest box that is read as a whole."""


@dataclass(frozen=True, eq=False)
class LargeObjects(ClassedObjects):
    """The objects of a large image.

    Attributes:
        path: File of the number of each pixel's object, from 1 on; 0 where there is none.
        shape: Height and width of the image.
        classes: `(objects,)` uint8, the class index of each object.
        boxes: `(objects, 4)`: first row and column of each, and those after the last ones.
        confidence: See `Objects`.
    """

    path: Path
    shape: tuple[int, int]
    classes: NDArray[np.uint8] = field(repr=False)
    boxes: NDArray[np.int64] = field(repr=False)
    confidence: NDArray[np.float64] | None = field(default=None, repr=False)

    def open(self) -> LazyImage:
        """Open the file of the numbers, which must be closed."""
        return open_large(self.path)

    @contextmanager
    def open_mask(self, number: int) -> Iterator[ReadMask]:
        """Yield a function that reads the pixels of an object within bounds of its box."""
        top, left, _, _ = self.boxes[number - 1].tolist()
        with self.open() as file:

            def read(rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.bool_]:
                found = file.read_numbers(
                    (rows[0] + top, rows[1] + top), (columns[0] + left, columns[1] + left)
                )
                return np.asarray(found == number)

            yield read

    @property
    def huge(self) -> NDArray[np.int64]:
        """The numbers of the objects whose boxes are too large to be read as a whole."""
        height, width = (self.boxes[:, 2:] - self.boxes[:, :2]).T
        return np.flatnonzero(~self._fit_cells() & (height * width > MAX_WINDOW)) + 1

    def windows(self) -> Iterator[ObjectWindow]:
        """Read all objects that are not huge, each in one window."""
        with self.open() as file:
            table = np.zeros(len(self.boxes) + 1, np.uint32)
            for members in self._group():
                boxes = self.boxes[members - 1]
                (top, left), (bottom, right) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
                rows, columns = (int(top), int(bottom)), (int(left), int(right))
                table[members] = np.arange(1, len(members) + 1)
                numbers = table[file.read_numbers(rows, columns)]
                table[members] = 0
                yield ObjectWindow(numbers, members, rows, columns)

    def _fit_cells(self) -> NDArray[np.bool_]:
        """Return whether each object ends within the overhang of the cell that it begins in."""
        ends = self.boxes[:, :2] // CELL * CELL + CELL + OVERHANG
        return np.asarray((self.boxes[:, 2:] <= ends).all(axis=1))

    def _group(self) -> Iterator[NDArray[np.int64]]:
        """Yield the numbers of the objects of each window."""
        fits = self._fit_cells()
        numbers = np.arange(1, len(fits) + 1)
        cells = self.boxes[:, :2] // CELL
        order = np.lexsort((cells[:, 1], cells[:, 0]))
        order = order[fits[order]]
        starts = np.flatnonzero(np.diff(cells[order], axis=0).any(axis=1)) + 1
        for group in np.split(numbers[order], starts):
            if len(group):
                yield group
        for number in np.setdiff1d(numbers[~fits], self.huge):
            yield np.array([number])
