"""The parameters of `parameters_retraining.yml`."""

from typing import Literal

from unetflow.config.base import Count, Fraction, NotNegative, Positive, Strict


class RetrainingParameters(Strict):
    """When to train again, and when the challenger replaces the champion."""

    min_new_labelled: Count | None
    """images with new or changed masks, or new themselves, since the champion"""
    max_age_days: Positive | None
    """of the champion"""
    watched_images: Count | None
    """number of new images from which on the champion's Dice on them is compared with its
    registered interval"""
    start_from: Literal["scratch", "champion"]
    """initial weights of the challenger"""
    non_inferiority_margin: Fraction
    """the challenger is promoted if the lower end of the 95 % interval of its gain in Dice on the
    test images is above minus this margin,"""
    max_regression: Fraction
    """and no class, and no group of several images, loses more mean Dice than this"""
    wait_minutes: NotNegative
    """to wait for another retraining in this folder before giving up"""
