"""The samples that the data report shows, in small, with their classes outlined."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label
from unetflow.data.samples import Sample, SampleFolder
from unetflow.reporting.data_tables import by_split
from unetflow.reporting.html_page import SPLIT_NAMES, PagePicture, count_of
from unetflow.visualization.overlays import (
    CLASS_COLOURS,
    Picture,
    Rgb,
    diagonals,
    find_outlines,
    fit_shape,
    hatch_ignored,
    shrink_sample,
    to_address,
)

_EDGE = 160

# More colours cannot be distinguished: the next classes have gaps in their outlines.
_GAPS = (None, (0, 0, 0), (255, 255, 255))
_DASH = 3
_TINT = 0.25
"""Fraction of the colour of a class in its pixels: what lies below stays visible."""


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


def choose_images(table: pd.DataFrame, most: int) -> dict[str, list[str]]:
    """Choose images of each split, from the least to the most foreground.

    The splits take turns, so that a small one is shown as well as a large one. Within a split, the
    chosen images are evenly spaced in the order of the foreground fraction, the first and the last
    among them.

    Args:
        table: With the columns `id`, `split` and `foreground`.
        most: Largest number of images.

    Returns:
        The chosen ids of each split that has images, by its name on the page.
    """
    parts = by_split(table.sort_values(["foreground", "id"]))
    numbers = dict.fromkeys(parts, 0)
    while sum(numbers.values()) < min(most, len(table)):
        unfinished = [split for split in parts if numbers[split] < len(parts[split])]
        for split in unfinished[: most - sum(numbers.values())]:
            numbers[split] += 1
    chosen = {}
    for split, number in numbers.items():
        last = len(parts[split]) - 1
        places = [(last + 1) // 2] if number == 1 else np.linspace(0, last, number).round()
        chosen[split] = parts[split]["id"].iloc[np.asarray(places, int)].tolist()
    return {split: ids for split, ids in chosen.items() if ids}


def draw_album(
    full: pd.DataFrame, samples: SampleFolder, ids: Iterable[str]
) -> dict[str, PagePicture]:
    """Draw the thumbnails of samples, each once; those that there are not are left out."""
    known = full.set_index("id")[["height", "width", "split", "objects"]].to_dict("index")
    drawn = {}
    for sample_id in dict.fromkeys(ids):
        if sample_id in known:
            height, width, split, objects = known[sample_id].values()
            form = f"{width} x {height}, {SPLIT_NAMES[split]}"
            drawn[sample_id] = PagePicture(
                to_address(draw_thumbnail(samples[sample_id])),
                (sample_id, form, count_of(int(objects), "object")),
                *fit_shape((height, width), _EDGE, enlarge=True),
            )
    return drawn


def draw_thumbnail(sample: Sample) -> Picture:
    """Draw a sample with its longer edge reduced to 160 pixels, `(height, width, 3)` uint8."""
    picture, (label,) = shrink_sample(sample, _EDGE, sample.label)
    return outline_classes(picture, label)


def outline_classes(picture: Picture, label: Label) -> Picture:
    """Tint and outline each class in its own way, and hatch ignored pixels.

    Outlines lie inside their own pixels. They alone look the same from both sides, so that a tint
    shows on which side the class is.
    """
    drawn = _tint(picture, label)
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


def _tint(picture: Picture, label: Label) -> Picture:
    """Mix the colour of each class but the background into its pixels."""
    drawn = picture.copy()
    inside = (label > 0) & (label != IGNORE)
    colours = _outline_table()[label[inside], 0]
    drawn[inside] = (1 - _TINT) * picture[inside] + _TINT * colours
    return drawn


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
