"""Made-up tables of image scores."""

import numpy as np
import pandas as pd

AREA, WHOLE = 10**6, 10**9
"""Pixels of the foreground of an image that holds some, and of any image."""


def of_dice(dice, alarms=(), ids=None, **columns):
    """Make the scores of images with foreground by their Dice, and of empty ones.

    Args:
        dice: Of each image with foreground; as many pixels are found as there are.
        alarms: Found pixels of each empty image, in percent of the foreground of another one.
        ids: Of all images.
        columns: More columns.
    """
    dice, alarms = np.array(dice, float), np.array(alarms, float)
    held = np.r_[np.ones(len(dice), bool), np.zeros(len(alarms), bool)]
    found = np.r_[np.full(len(dice), AREA), alarms * AREA / 100].astype(int)
    return pd.DataFrame(
        {
            "id": [f"i{n}" for n in range(len(held))] if ids is None else ids,
            "dice": np.r_[dice, np.full(len(alarms), np.nan)],
            "detected": np.where(held, 1.0, np.nan),
            "false_alarm": np.where(held, np.nan, found > 0),
            "foreground_score": np.where(found > 0, 0.9, 0.1),
            "counted_pixels": WHOLE,
            "true_pixels": np.where(held, AREA, 0),
            "found_pixels": found,
            "correct_pixels": np.r_[np.round(dice * AREA), np.zeros(len(alarms))].astype(int),
            **columns,
        }
    )
