"""The number of each object, written at its place in a picture."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from unetflow.visualization.overlays import Picture

_SIZES = (9, 28)
"""Smallest and largest size of the font in pixels."""
_PART_OF_EDGE = 0.45
"""Size of the font in edges of a square that is as large as the median object."""
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def draw_numbers(picture: Picture, numbers: NDArray[np.unsignedinteger]) -> Picture:
    """Write the number of each object on a copy of a picture.

    A number is centred at the pixel of its object that is nearest to the centroid, and moved where
    it would leave the picture. White digits with a black edge are legible on bright and dark.

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
    for number, (x, y) in places.items():
        text = str(number)
        left, top, right, bottom = pen.textbbox((x, y), text, font, anchor="mm", stroke_width=1)
        place = x + _shift(left, right, drawn.width), y + _shift(top, bottom, drawn.height)
        pen.text(place, text, _WHITE, font, anchor="mm", stroke_width=1, stroke_fill=_BLACK)
    return np.array(drawn)


def _find_places(
    numbers: NDArray[np.unsignedinteger],
) -> tuple[dict[int, tuple[int, int]], NDArray[np.intp]]:
    """Return by number the pixel (x, y) nearest to the centroid, and all areas in pixels."""
    rows, columns = np.nonzero(numbers)
    found, owner, areas = np.unique(numbers[rows, columns], return_inverse=True, return_counts=True)
    distance = np.zeros(len(rows))
    for places in (rows, columns):
        centre = np.bincount(owner, places) / areas
        distance += (places - centre[owner]) ** 2
    nearest = np.lexsort((distance, owner))[np.cumsum(areas) - areas]
    places = zip(columns[nearest].tolist(), rows[nearest].tolist(), strict=True)
    return dict(zip(found.tolist(), places, strict=True)), areas


def _shift(first: float, last: float, length: int) -> float:
    """Return by how much to move what reaches from `first` to `last` into `length` pixels."""
    return max(-first, 0) if first < 0 else min(length - last, 0)
