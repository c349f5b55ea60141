"""Images in display colours, with masks drawn on them.

The palette is that of Okabe and Ito, whose colours colour-blind readers can tell apart.
"""

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from unetflow.core.types import IGNORE, Label

Picture = NDArray[np.uint8]
"""`(height, width, 3)`: red, green and blue."""
Rgb = tuple[int, int, int]

BLACK, BLUE, GREEN, ORANGE = "#000000", "#0072b2", "#009e73", "#e69f00"
PURPLE, SKY_BLUE, VERMILLION, YELLOW = "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"


def _to_rgb(colour: str) -> Rgb:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


CLASS_COLOURS = tuple(map(_to_rgb, (SKY_BLUE, ORANGE, YELLOW, VERMILLION, GREEN, PURPLE, BLUE)))
"""Colours of the classes, in an order that keeps neighbours far apart."""
TRUTH_COLOUR, PREDICTION_COLOUR = CLASS_COLOURS[:2]


def to_picture(image: NDArray[np.generic]) -> Picture:
    """Convert an image `(height, width, channels)` of any bit depth for display.

    The 0.5 and 99.5 percentiles become black and full brightness, so that dark images are
    visible; networks see a fixed scaling instead. One channel is shown in grey. Three are shown as
    red, green and blue and scaled together, which keeps the colours. Other numbers of channels are
    stains or detectors, each scaled separately: two are shown in magenta and green, which
    colour-blind readers can tell apart and which add up to white; of four and more the first three
    are shown as red, green and blue.
    """
    channels = image.shape[2]
    values = image[:, :, :3].astype(np.float32)
    together = channels in (1, 3)
    low, high = np.percentile(values, (0.5, 99.5), axis=None if together else (0, 1))
    values -= low  # in place, since a picture may be large
    values /= np.maximum(high - low, 1e-6)
    np.clip(values, 0, 1, out=values)
    values *= 255
    return show_channels(values.round(out=values).astype(np.uint8))


def show_channels(image: Picture) -> Picture:
    """Arrange channels `(height, width, channels)` uint8 for display as `to_picture` does."""
    shown = {1: [0, 0, 0], 2: [0, 1, 0]}.get(image.shape[2], [0, 1, 2])
    return image[:, :, shown]


def draw_outline(picture: Picture, label: Label, colour: Rgb) -> Picture:
    """Draw the outlines of a label's classes on a copy of a picture; see `find_outlines`."""
    drawn = picture.copy()
    drawn[find_outlines(label)] = colour
    return drawn


def find_outlines(label: Label) -> NDArray[np.bool_]:
    """Return the pixels of each class that touch another class or the background.

    The outline lies inside the foreground, so that its edge is the mask's edge. Ignored pixels are
    background.
    """
    outlines: NDArray[np.bool_] = find_boundaries(np.where(label == IGNORE, 0, label), mode="inner")
    return outlines


def diagonals(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the number of each pixel's diagonal, from which dashes and stripes are made."""
    return np.add.outer(np.arange(shape[0]), np.arange(shape[1]))


def hatch_ignored(picture: Picture, label: Label) -> None:
    """Darken and hatch the ignored pixels of a picture, in place."""
    ignored = label == IGNORE
    picture[ignored] //= 2
    picture[ignored & (diagonals(label.shape) % 6 < 2)] = 200


def paint_classes(label: Label) -> Picture:
    """Return the colour of each pixel's class: black is the background, white is ignored."""
    return _COLOUR_TABLE[label]


def tint_classes(picture: Picture, label: Label) -> Picture:
    """Blend a picture with the colours of its classes, except for the background."""
    painted = (picture.astype(np.uint16) + paint_classes(label)) // 2
    background = (label == 0)[:, :, np.newaxis]
    return np.where(background, picture, painted).astype(np.uint8)


def draw_label(picture: Picture, label: Label, classes: int, colour: Rgb) -> Picture:
    """Draw a label on a copy of a picture: two classes by an outline, more by tints."""
    return draw_outline(picture, label, colour) if classes == 2 else tint_classes(picture, label)


def _make_colour_table() -> Picture:
    """Return a different colour for each class index, `(256, 3)`."""
    table = np.zeros((IGNORE + 1, 3), np.uint8)
    palette = np.array(CLASS_COLOURS)
    # The palette, then darker, then paler; few masks have more classes than these 21.
    known = np.concatenate([palette, palette // 2, (palette + 255) // 2])
    table[1 : len(known) + 1] = known
    # The others are spread over the RGB cube in steps that repeat no colour.
    rest = np.arange(IGNORE - 1 - len(known))
    table[len(known) + 1 : IGNORE] = np.stack(
        [40 + rest % 6 * 36, 30 + rest // 6 % 6 * 36, 20 + rest // 36 * 31], axis=1
    )
    table[IGNORE] = 255
    return table


_COLOUR_TABLE = _make_colour_table()
