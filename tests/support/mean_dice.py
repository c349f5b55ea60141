"""The mean Dice of an image, in which to find nothing in an empty image counts 1."""

import numpy as np

from unetflow.core.types import Label
from unetflow.metrics.pixels import count_by_class


def mean_dice(truth: Label, found: Label, classes: int) -> float:
    """Return the mean Dice of the classes of an image that `count_by_class` counts."""
    return float(np.mean([c.dice for c in count_by_class(truth, found, classes).values()]))
