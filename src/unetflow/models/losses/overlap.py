"""Losses that compare areas: soft Dice and Tversky, each for each image by itself.

Both are means over the classes but the background, however many pixels each has. Weights of
pixels and of classes are left aside.
"""

from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.losses.targets import TargetPair, sum_pixels

_FALSE_POSITIVE = 0.3
_FALSE_NEGATIVE = 0.7
"""The alpha and beta that the paper found best."""


def soft_dice(pixels: TargetPair) -> Tensor:
    """Return 1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1) of probabilities p and truth t.

    The ones make an empty class with an empty prediction perfect.

    Args:
        pixels: Truth and prediction.

    Returns:
        `(batch,)`.
    """
    chance, truth = pixels.foreground
    overlap = 2 * sum_pixels(chance * truth) + 1
    return ops.mean(1 - overlap / (sum_pixels(chance) + sum_pixels(truth) + 1), axis=-1)


def tversky(pixels: TargetPair) -> Tensor:
    """Return 1 - (TP + 1/2) / (TP + 0.3 FP + 0.7 FN + 1/2) of soft counts.

    TP = sum(p t), FP = sum(p (1 - t)), FN = sum((1 - p) t): the Tversky index (Salehi et al. 2017,
    arXiv 1706.05721), in which a missed pixel costs more than a wrongly found one.
    With 0.5 twice it would be the soft Dice, of which it takes over the smoothing.

    Args:
        pixels: Truth and prediction.

    Returns:
        `(batch,)`.
    """
    chance, truth = pixels.foreground
    hit = sum_pixels(chance * truth)
    wrong = sum_pixels(chance * (1 - truth))
    missed = sum_pixels((1 - chance) * truth)
    size = hit + _FALSE_POSITIVE * wrong + _FALSE_NEGATIVE * missed
    return ops.mean(1 - (hit + 0.5) / (size + 0.5), axis=-1)
