"""Metrics of detection by image, and of all pixels of a set together, at the final mask."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unetflow.core.types import IGNORE, Label, Probabilities
from unetflow.metrics.shared import define

_KINDS = "left out unless some of the images hold foreground and some are empty"

DEFINITIONS = define(
    "pixels with label 255 are not counted",
    {
        "image_sensitivity": (
            "share of the images with foreground in which some foreground is found, wherever it is",
            _KINDS,
        ),
        "image_specificity": (
            "share of the images without foreground in which none is found: those without a false "
            "alarm",
            _KINDS,
        ),
        "image_roc_auc": (
            "chance that an image with foreground has a higher foreground score than an image "
            "without, ties counting half: the area under the ROC curve. The foreground score of an "
            "image is its highest probability of foreground",
            _KINDS,
        ),
        "pooled_dice": (
            "2 TP / (2 TP + FP + FN), where TP, FP and FN count the pixels of all images together",
            "left out when no image has the class",
        ),
    },
)


def detect_by_image(truth: Label, found: Label, probabilities: Probabilities) -> dict[str, float]:
    """Return what an image counts for in the detection by image.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        found: `(height, width)` class indices.
        probabilities: `(height, width, classes)`, or 1 for the foreground alone.

    Returns:
        `detected`: 1 where some foreground is found in an image with foreground, else 0;
        `false_alarm`: the same in an empty image; and `foreground_score`, the highest probability
        of foreground. Each is NaN where the image is of the other kind, or nothing counts.
    """
    counted = truth != IGNORE
    if not counted.any():
        return dict.fromkeys(("detected", "false_alarm", "foreground_score"), math.nan)
    holds = bool(truth[counted].any())
    finds = float(found[counted].any())
    foreground_alone = probabilities.shape[2] == 1
    score = probabilities[:, :, 0][counted]
    return {
        "detected": finds if holds else math.nan,
        "false_alarm": math.nan if holds else finds,
        "foreground_score": float(score.max() if foreground_alone else 1 - score.min()),
    }


def image_roc_auc(scores: ArrayLike, holds: NDArray[np.bool_]) -> float:
    """Return `image_roc_auc` of `DEFINITIONS`; both kinds of images are needed.

    Args:
        scores: `(images,)`, the foreground score of each image.
        holds: `(images,)`, whether it holds foreground.
    """
    values = np.asarray(scores, np.float64)
    empty = np.sort(values[~holds])
    below = np.searchsorted(empty, values[holds], "left")
    not_above = np.searchsorted(empty, values[holds], "right")
    return float(np.mean((below + not_above) / 2) / len(empty))
