"""Small pictures that show over the epochs how a mask gets better."""

import numpy as np

from unetflow.core.types import Label
from unetflow.data.samples import Sample
from unetflow.visualization.overlays import (
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    Picture,
    draw_label,
    to_picture,
)
from unetflow.visualization.thumbnails import shrink_image, shrink_label

EDGE = 256
_GAP = 4


def draw_validation(sample: Sample, found: Label, classes: int) -> Picture:
    """Draw a sample twice, side by side: with its true label and with the one that was found.

    Args:
        sample: The sample; its longer edge becomes at most 256 pixels.
        found: `(height, width)` class indices.
        classes: Number of classes: two are outlined, more are tinted.

    Returns:
        `(height, 2 * width + 4, 3)` uint8, a white gap in the middle.
    """
    scale = min(1.0, EDGE / max(found.shape))
    height, width = (max(1, round(edge * scale)) for edge in found.shape)
    picture = to_picture(shrink_image(sample.image, (height, width)))
    truth, prediction = (shrink_label(label, (height, width)) for label in (sample.label, found))
    gap = np.full((height, _GAP, 3), 255, np.uint8)
    return np.concatenate(
        [
            draw_label(picture, truth, classes, TRUTH_COLOUR),
            gap,
            draw_label(picture, prediction, classes, PREDICTION_COLOUR),
        ],
        axis=1,
    )
