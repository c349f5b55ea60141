"""Thumbnails of samples with their classes outlined."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label
from unetflow.data.samples import Sample
from unetflow.visualization.overlays import (
    CLASS_COLOURS,
    Picture,
    Rgb,
    diagonals,
    find_outlines,
    hatch_ignored,
    shrink_sample,
)

EDGE = 160

# More colours cannot be distinguished: the next classes have gaps in their outlines.
_GAPS = (None, (0, 0, 0), (255, 255, 255))
_DASH = 3


@dataclass(frozen=True)
class Mark:
    """Outline of a class.

    Attributes:
        name: The class.
        colour: Colour of its outline; None for the background, which has none.
        gap: Colour of the gaps in a dashed outline; None where it is solid.
        seen_before: Whether an earlier class has the same outline.
    """

    name: str
    colour: Rgb | None
    gap: Rgb | None
    seen_before: bool = False


def draw_thumbnail(sample: Sample) -> Picture:
    """Draw a sample with its longer edge reduced to 160 pixels, `(height, width, 3)` uint8."""
    picture, (label,) = shrink_sample(sample, EDGE, sample.label)
    return outline_classes(picture, label)


def outline_classes(picture: Picture, label: Label) -> Picture:
    """Outline each class in its own way, inside its own pixels, and hatch ignored pixels."""
    drawn = picture.copy()
    hatch_ignored(drawn, label)
    edge = find_outlines(label)
    in_gap = diagonals(label.shape)[edge] // _DASH % 2
    drawn[edge] = _outline_table()[label[edge], in_gap]
    return drawn


def class_marks(classes: Sequence[str]) -> list[Mark]:
    """Return the outline of each class, the background first."""
    different = len(CLASS_COLOURS) * len(_GAPS)
    return [Mark(classes[0], None, None)] + [
        Mark(name, *_outline_of(index), seen_before=index > different)
        for index, name in enumerate(classes[1:], start=1)
    ]


def _outline_of(index: int) -> tuple[Rgb, Rgb | None]:
    round_number, place = divmod(index - 1, len(CLASS_COLOURS))
    return CLASS_COLOURS[place], _GAPS[round_number % len(_GAPS)]


def _outline_table() -> NDArray[np.uint8]:
    """Return `(256, 2, 3)`: the colour of each class, and the one of its gaps."""
    table = np.zeros((IGNORE + 1, 2, 3), np.uint8)
    for index in range(1, IGNORE):
        colour, gap = _outline_of(index)
        table[index] = colour, gap or colour
    return table
