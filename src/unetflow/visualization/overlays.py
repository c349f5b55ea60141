"""Pictures for people: images made visible, with the outlines of masks on them."""

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from unetflow.core.types import IGNORE, Label

Picture = NDArray[np.uint8]

# Okabe and Ito's palette keeps its colours apart for colour-blind readers.
TRUTH_COLOUR = (86, 180, 233)
PREDICTION_COLOUR = (230, 159, 0)
CLASS_COLOURS = (
    TRUTH_COLOUR,
    PREDICTION_COLOUR,
    (240, 228, 66),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (0, 114, 178),
)
"""Okabe and Ito's palette without black, neighbours far apart."""


def to_picture(image: NDArray[np.generic]) -> Picture:
    """Turn an image of any bit depth and any number of channels into one that a screen can show.

    The 0.5 and 99.5 percentiles become black and full brightness, so that dark images are visible
    too. For people only: networks see a fixed scaling. One channel is shown in grey and three as
    red, green and blue, scaled together so that colours stay what they are. Other numbers of
    channels are stains or detectors, each scaled by itself: two are shown in magenta and green,
    which colour-blind readers can tell apart and which give white where both are bright; of four
    and more the first three are shown as red, green and blue.

    Args:
        image: `(height, width, channels)`.

    Returns:
        `(height, width, 3)` uint8.
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
    """Turn any number of channels into red, green and blue; see `to_picture` for which.

    Args:
        image: `(height, width, channels)` uint8.

    Returns:
        `(height, width, 3)` uint8.
    """
    shown = {1: [0, 0, 0], 2: [0, 1, 0]}.get(image.shape[2], [0, 1, 2])
    return image[:, :, shown]


def draw_outline(picture: Picture, label: Label, colour: tuple[int, int, int]) -> Picture:
    """Draw where a label's classes meet, on a copy of the picture.

    The outline lies inside the foreground, so that its edge is the mask's edge. Ignored pixels
    have no outline of their own.
    """
    drawn = picture.copy()
    visible = np.where(label == IGNORE, 0, label)
    drawn[find_boundaries(visible, mode="inner")] = colour
    return drawn


def paint_classes(label: Label) -> Picture:
    """Paint each class in a colour of its own.

    Args:
        label: `(height, width)` class indices.

    Returns:
        `(height, width, 3)` uint8: black for the background and white for ignored pixels; no two
        classes share a colour.
    """
    return _COLOUR_TABLE[label]


def tint_classes(picture: Picture, label: Label) -> Picture:
    """Mix a picture with the colours of its classes, but not where the background is."""
    painted = (picture.astype(np.uint16) + paint_classes(label)) // 2
    background = (label == 0)[:, :, np.newaxis]
    return np.where(background, picture, painted).astype(np.uint8)


def draw_label(
    picture: Picture, label: Label, classes: int, colour: tuple[int, int, int]
) -> Picture:
    """Draw a label on a copy of a picture.

    Args:
        picture: `(height, width, 3)` uint8.
        label: `(height, width)` class indices.
        classes: Number of classes: two are outlined in one colour, more are tinted in their own.
        colour: Of the outline.
    """
    return draw_outline(picture, label, colour) if classes == 2 else tint_classes(picture, label)


def _make_colour_table() -> Picture:
    """Return a colour for each class index, `(256, 3)`; all differ."""
    table = np.zeros((IGNORE + 1, 3), np.uint8)
    palette = np.array(CLASS_COLOURS)
    # The palette, then darker, then paler; few masks have more classes than these 21.
    known = np.concatenate([palette, palette // 2, (palette + 255) // 2])
    table[1 : len(known) + 1] = known
    # The others are spread over the cube of colours by steps that meet no colour twice.
    rest = np.arange(IGNORE - 1 - len(known))
    table[len(known) + 1 : IGNORE] = np.stack(
        [40 + rest % 6 * 36, 30 + rest // 6 % 6 * 36, 20 + rest // 36 * 31], axis=1
    )
    table[IGNORE] = 255
    return table


_COLOUR_TABLE = _make_colour_table()
