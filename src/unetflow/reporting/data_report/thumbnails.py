"""Small pictures of samples with their classes outlined."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from unetflow.core.types import IGNORE, Label
from unetflow.data.samples import Sample
from unetflow.visualization.overlays import CLASS_COLOURS, Picture, to_picture
from unetflow.visualization.thumbnails import shrink_image, shrink_label, shrunk_shape

EDGE = 160

# More colours than that cannot be told apart: the next classes have gaps in their outlines.
_GAPS = (None, (0, 0, 0), (255, 255, 255))
_DASH = 3

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Mark:
    """How a class is outlined.

    Attributes:
        name: The class.
        colour: The colour of its outline; None for the background, which has none.
        gap: The colour of the gaps in a dashed outline; None where it is solid.
        seen_before: Whether an earlier class has the same outline.
    """

    name: str
    colour: Colour | None
    gap: Colour | None
    seen_before: bool = False


def draw_thumbnail(sample: Sample) -> Picture:
    """Draw a sample small, its classes outlined and its ignored pixels hatched.

    Args:
        sample: The sample; its longer edge becomes at most 160 pixels.

    Returns:
        `(height, width, 3)` uint8.
    """
    shape = shrunk_shape(sample.label.shape, EDGE)
    picture = to_picture(shrink_image(sample.image, shape))
    return outline_classes(picture, shrink_label(sample.label, shape))


def outline_classes(picture: Picture, label: Label) -> Picture:
    """Outline each class in its own way, inside its own pixels, and hatch what is ignored."""
    height, width = label.shape
    diagonal = np.add.outer(np.arange(height), np.arange(width))
    drawn = picture.copy()
    ignored = label == IGNORE
    drawn[ignored] //= 2
    drawn[ignored & (diagonal % 6 < 2)] = 200
    visible = np.where(ignored, 0, label)
    edge = find_boundaries(visible, mode="inner")
    in_gap = (diagonal // _DASH % 2).astype(bool)
    drawn[edge] = _outline_table()[visible[edge], in_gap[edge].astype(int)]
    return drawn


def class_marks(classes: Sequence[str]) -> list[Mark]:
    """Return how each class is outlined, the background first."""
    marks = [Mark(classes[0], None, None)]
    for index, name in enumerate(classes[1:], start=1):
        colour, gap = _outline_of(index)
        marks.append(Mark(name, colour, gap, index > len(CLASS_COLOURS) * len(_GAPS)))
    return marks


def _outline_of(index: int) -> tuple[Colour, Colour | None]:
    round_number, place = divmod(index - 1, len(CLASS_COLOURS))
    return CLASS_COLOURS[place], _GAPS[round_number % len(_GAPS)]


def _outline_table() -> NDArray[np.uint8]:
    """Return `(256, 2, 3)`: the colour of each class, and the one of its gaps."""
    table = np.zeros((256, 2, 3), np.uint8)
    for index in range(1, IGNORE):
        colour, gap = _outline_of(index)
        table[index] = colour, gap or colour
    return table
