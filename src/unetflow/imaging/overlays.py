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
    """Turn an image of any bit depth into one that a screen can show.

    The image's own 0.5 and 99.5 percentiles over all channels become black and full brightness,
    so that dark images are visible too. For people only: networks see a fixed scaling.

    Args:
        image: `(height, width, channels)`, 1 or 3 channels.

    Returns:
        `(height, width, 3)` uint8.
    """
    values = image.astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = (values - low) / max(high - low, 1e-6)
    picture = (np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def draw_outline(picture: Picture, label: Label, colour: tuple[int, int, int]) -> Picture:
    """Draw where a label's classes meet, on a copy of the picture.

    The outline lies inside the foreground, so that its edge is the mask's edge. Ignored pixels
    have no outline of their own.
    """
    drawn = picture.copy()
    visible = np.where(label == IGNORE, 0, label)
    drawn[find_boundaries(visible, mode="inner")] = colour
    return drawn
