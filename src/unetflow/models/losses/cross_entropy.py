"""Cross-entropies and the focal loss.

Each is a weighted sum over an image's pixels (arXiv 1505.04597, equation 1), divided by the number
of counted pixels, not by the sum of weights: a pixel's part in the loss depends on its own weight
alone. An image without counted pixels has a loss of 0.

All functions take truth and prediction and return the loss of each image, `(batch,)`.
"""

from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.losses.targets import TargetPair, sum_pixels

_EPSILON = 1e-7
"""Smallest probability inside the logarithm, which limits a pixel's loss to 16.1."""

_GAMMA = 2.0
"""Exponent of the focal loss, the best one in its paper."""


def binary_cross_entropy(pair: TargetPair) -> Tensor:
    """Return the mean binary cross-entropy over pixels and channels.

    With one sigmoid channel this is the foreground's cross-entropy; with several softmax channels
    each class is compared with all others.
    """
    p, t = ops.clip(pair.prediction, _EPSILON, 1 - _EPSILON), pair.truth
    entropy = -(t * ops.log(p) + (1 - t) * ops.log(1 - p))
    return _mean_over_counted(ops.mean(entropy, axis=-1, keepdims=True), pair)


def categorical_cross_entropy(pair: TargetPair) -> Tensor:
    """Return the mean of -ln(p), p the predicted probability of the true class.

    With one sigmoid channel it equals the binary cross-entropy.
    """
    return _mean_over_counted(-ops.log(_probability_of_truth(pair)), pair)


def focal(pair: TargetPair) -> Tensor:
    """Return the mean of -(1 - p)^2 ln(p), p the predicted probability of the true class.

    This is the focal loss (Lin et al. 2017, arXiv 1708.02002, equation 4) with gamma = 2. Class
    weights take the part of alpha in the paper's equation 5.
    """
    p = _probability_of_truth(pair)
    return _mean_over_counted(-((1 - p) ** _GAMMA) * ops.log(p), pair)


def _probability_of_truth(pair: TargetPair) -> Tensor:
    """Return `(batch, height, width, 1)`, within (0, 1) at ignored pixels too."""
    agreeing = pair.truth * pair.prediction
    if pair.is_sigmoid:
        p = agreeing + (1 - pair.truth) * (1 - pair.prediction)
    else:
        p = ops.sum(agreeing, axis=-1, keepdims=True)
    return ops.clip(p, _EPSILON, 1 - _EPSILON)


def _mean_over_counted(values: Tensor, pair: TargetPair) -> Tensor:
    """Reduce `(batch, height, width, 1)` to `(batch,)`; the weight of ignored pixels is 0."""
    total, number = sum_pixels(values * pair.weight), sum_pixels(pair.counted)
    return (total / ops.maximum(number, 1))[:, 0]
