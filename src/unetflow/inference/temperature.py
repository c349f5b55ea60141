"""Temperature scaling of probabilities."""

import numpy as np
from scipy.special import expit, logit, softmax

from unetflow.core.types import Probabilities

_SMALLEST = 1e-7
"""Networks round to 0 and 1, of which there is no logarithm."""


def apply_temperature(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Divide the network's logits by a temperature (Guo et al. 2017, arXiv 1706.04599).

    The logits are taken back from the probabilities, whose logarithms they are but for a constant
    that the softmax takes away again. Above 1 probabilities come closer to each other; which class
    is the most probable stays.

    Args:
        probabilities: `(..., classes)`, or `(..., 1)` for the foreground's alone.
        temperature: 1 changes nothing.

    Returns:
        The same shape, float32.
    """
    if temperature == 1:
        return probabilities
    inner = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
    if probabilities.shape[-1] == 1:
        return np.asarray(expit(logit(inner) / np.float32(temperature)), np.float32)
    return np.asarray(softmax(np.log(inner) / np.float32(temperature), axis=-1), np.float32)


def scale_threshold(threshold: float, temperature: float) -> float:
    """Return the threshold that decides after the temperature as this one does before it."""
    return float(expit(logit(threshold) / temperature))
