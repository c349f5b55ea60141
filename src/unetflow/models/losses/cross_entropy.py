"""Losses that are a mean over pixels: cross-entropies and focal loss.

Each is the weighted sum over an image's pixels (arXiv 1505.04597, equation 1) divided by the
number of those that count, and not by the sum of the weights: so a pixel's share of the loss
depends on its own weight alone. An image without a pixel that counts costs 0.
"""

from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.losses.targets import TargetPair, sum_pixels

_TINY = 1e-7
"""Keeps the logarithm finite: no pixel costs more than its negative, 16.1."""

_FOCUS = 2.0
"""The exponent gamma of the focal loss that its paper found best."""


def binary_cross_entropy(pixels: TargetPair) -> Tensor:
    """Return the binary cross-entropy of each image, the mean over its pixels and channels.

    With one sigmoid channel that is the cross-entropy of the foreground, with several softmax
    channels each class against all others.

    Args:
        pixels: Truth and prediction.

    Returns:
        `(batch,)`.
    """
    chance = ops.clip(pixels.chance, _TINY, 1 - _TINY)
    truth = pixels.truth
    entropy = -(truth * ops.log(chance) + (1 - truth) * ops.log(1 - chance))
    return _mean_of_counted(ops.mean(entropy, axis=-1, keepdims=True), pixels)


def categorical_cross_entropy(pixels: TargetPair) -> Tensor:
    """Return the mean of -ln(predicted probability of the true class) of each image.

    With one sigmoid channel it equals the binary cross-entropy.

    Args:
        pixels: Truth and prediction.

    Returns:
        `(batch,)`.
    """
    return _mean_of_counted(-ops.log(_chance_of_true_class(pixels)), pixels)


def focal(pixels: TargetPair) -> Tensor:
    """Return the mean of -(1 - p)^2 ln(p) of each image, p the probability of the true class.

    This is the focal loss (Lin et al. 2017, arXiv 1708.02002, equation 4) with gamma = 2. The
    balance alpha of its equation 5 is what class weights give.

    Args:
        pixels: Truth and prediction.

    Returns:
        `(batch,)`.
    """
    chance = _chance_of_true_class(pixels)
    return _mean_of_counted(-((1 - chance) ** _FOCUS) * ops.log(chance), pixels)


def _chance_of_true_class(pixels: TargetPair) -> Tensor:
    """Return `(batch, height, width, 1)`, within (0, 1) even at ignored pixels."""
    agreeing = pixels.truth * pixels.chance
    if pixels.is_sigmoid:
        chance = agreeing + (1 - pixels.truth) * (1 - pixels.chance)
    else:
        chance = ops.sum(agreeing, axis=-1, keepdims=True)
    return ops.clip(chance, _TINY, 1 - _TINY)


def _mean_of_counted(values: Tensor, pixels: TargetPair) -> Tensor:
    """Turn `(batch, height, width, 1)` into `(batch,)`; the weight of ignored pixels is 0."""
    total, number = sum_pixels(values * pixels.weight), sum_pixels(pixels.counted)
    return (total / ops.maximum(number, 1))[:, 0]
