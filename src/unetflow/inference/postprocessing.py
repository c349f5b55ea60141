"""From probabilities to a mask."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from skimage.morphology import remove_small_objects as keep_large_objects

from unetflow.core.types import Label, Probabilities


@dataclass(frozen=True)
class Decision:
    """What turns probabilities into a mask; see `inference.segmenter.SegmenterSettings`.

    Attributes:
        temperature: What the logits are divided by.
        threshold: Of the calibrated foreground probability; None for more than two classes.
        minimum_object_size: In pixels; 0 keeps all objects.
        curve: A row for each `threshold` with the mean `validation_dice` at the chosen size, and
            `validation_dice_from_<size>` for each size that was tried.
        calibration: See `calibration.describe_calibration`.
    """

    temperature: float
    threshold: float | None
    minimum_object_size: int
    curve: pd.DataFrame
    calibration: dict[str, Any]


def remove_small_objects(label: Label, minimum: int) -> Label:
    """Remove pieces of the foreground that are smaller than a number of pixels.

    Args:
        label: `(height, width)` uint8, 0 or 1.
        minimum: Smallest area in pixels that stays; pixels that touch at a corner are one piece.
    """
    if minimum <= 1:
        return label
    kept = keep_large_objects(label == 1, max_size=minimum - 1, connectivity=2)
    return np.asarray(kept, np.uint8)


def decide(probabilities: Probabilities, threshold: float | None) -> Label:
    """Turn the probabilities of the classes into a label.

    Args:
        probabilities: `(height, width, 1)`, of the foreground alone, or `(height, width, classes)`.
        threshold: Of two classes the second one, the foreground, is taken at or above it. None
            takes the most probable class, the first one of equals.

    Returns:
        `(height, width)` uint8, class indices.
    """
    if threshold is None:
        return np.asarray(probabilities.argmax(axis=2), np.uint8)
    return (probabilities[:, :, -1] >= np.float32(threshold)).astype(np.uint8)
