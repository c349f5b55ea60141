"""Losses that compare areas: soft Dice and Tversky.

Both take truth and prediction and return the loss of each image, `(batch,)`: the mean over the
classes except the background, whatever their sizes. Weights of pixels and classes are not used.
"""

from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.losses.targets import TargetPair, sum_pixels

_ALPHA, _BETA = 0.3, 0.7
"""Weights of false positives and false negatives, the best ones in the paper of the loss."""


def soft_dice(pair: TargetPair) -> Tensor:
    """Return 1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1) for probabilities p and truth t.

    With the added ones, an empty class that is not predicted has a loss of 0.
    """
    p, t = pair.foreground
    overlap = 2 * sum_pixels(p * t) + 1
    return ops.mean(1 - overlap / (sum_pixels(p) + sum_pixels(t) + 1), axis=-1)


def tversky(pair: TargetPair) -> Tensor:
    """Return 1 - (TP + 1/2) / (TP + 0.3 FP + 0.7 FN + 1/2) with soft counts.

    TP = sum(p t), FP = sum(p (1 - t)), FN = sum((1 - p) t): the Tversky index (Salehi et al. 2017,
    arXiv 1706.05721), where a missed pixel costs more than a false one. With 0.5 for both weights
    it would be the soft Dice, whose smoothing it shares.
    """
    p, t = pair.foreground
    true_positive = sum_pixels(p * t)
    false_positive = sum_pixels(p * (1 - t))
    false_negative = sum_pixels((1 - p) * t)
    size = true_positive + _ALPHA * false_positive + _BETA * false_negative
    return ops.mean(1 - (true_positive + 0.5) / (size + 0.5), axis=-1)
