"""Pictures for people: images made visible, with the outlines of masks on them."""

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from unetflow.imaging.labels import IGNORE, Label

Picture = NDArray[np.uint8]

# Okabe and Ito's palette keeps its colours apart for colour-blind readers.
TRUTH_COLOUR = (86, 180, 233)
PREDICTION_COLOUR = (230, 159, 0)


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
    scaled = (values - low) / np.maximum(high - low, 1e-6)
    picture: Picture = (np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)
    return show_channels(picture)


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
