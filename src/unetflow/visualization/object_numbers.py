"""The number of each object, written at its place in a picture."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from unetflow.visualization.overlays import Picture

_SIZES = (9, 28)
"""Smallest and largest size of the font in pixels."""
_PART_OF_EDGE = 0.45
"""Size of the font in edges of a square that is as large as the median object."""
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


class _Place(NamedTuple):
    """Where an object is: the pixel nearest to its centroid, its last column, and its size."""

    x: int
    y: int
    right: int
    width: int
    height: int


def draw_object_numbers(picture: Picture, numbers: NDArray[np.unsignedinteger]) -> Picture:
    """Write the number of each object on a copy of a picture.

    A number is centred at the pixel of its object that is nearest to the centroid. Beside an object
    that it would hide it stands to the right. It is moved where it would leave the picture. White
    digits with a black edge are legible on bright and dark.

    Args:
        picture: `(height, width, 3)`.
        numbers: `(height, width)`, the number of each pixel's object; 0 where there is none.
    """
    places, areas = _find_places(numbers)
    if not places:
        return picture.copy()
    size = np.clip(round(_PART_OF_EDGE * float(np.sqrt(np.median(areas)))), *_SIZES)
    font = ImageFont.load_default(float(size))
    drawn = Image.fromarray(picture)
    pen = ImageDraw.Draw(drawn)
    for number, place in places.items():
        text, x = str(number), float(place.x)
        left, top, right, bottom = pen.textbbox((x, place.y), text, font, "mm", stroke_width=1)
        if right - left > place.width or bottom - top > place.height:
            beside = place.right + 1 - left
            x, left, right = x + beside, left + beside, right + beside
        corner = x + _shift(left, right, drawn.width), place.y + _shift(top, bottom, drawn.height)
        pen.text(corner, text, _WHITE, font, "mm", stroke_width=1, stroke_fill=_BLACK)
    return np.array(drawn)


def _find_places(
    numbers: NDArray[np.unsignedinteger],
) -> tuple[dict[int, _Place], NDArray[np.intp]]:
    """Return the place of each object by its number, and all areas in pixels."""
    rows, columns = np.nonzero(numbers)
    if not len(rows):
        return {}, np.zeros(0, np.intp)
    found, owner, areas = np.unique(numbers[rows, columns], return_inverse=True, return_counts=True)
    distance = np.zeros(len(rows))
    for along in (rows, columns):
        centre = np.bincount(owner, along) / areas
        distance += (along - centre[owner]) ** 2
    order, starts = np.lexsort((distance, owner)), np.cumsum(areas) - areas
    rows, columns = rows[order], columns[order]  # of each object the nearest to its centroid first
    (bottom, right), (top, left) = (
        (function.reduceat(rows, starts), function.reduceat(columns, starts))
        for function in (np.maximum, np.minimum)
    )
    values = (columns[starts], rows[starts], right, right - left + 1, bottom - top + 1)
    places = np.stack(values, axis=1).tolist()
    return {n: _Place(*place) for n, place in zip(found.tolist(), places, strict=True)}, areas


def _shift(first: float, last: float, length: int) -> float:
    """Return by how much to move what reaches from `first` to `last` into `length` pixels."""
    return -first if first < 0 else min(length - last, 0)
