"""The centreline Dice loss (Shit et al. 2021, arXiv 2003.07311) for vessels, cracks, membranes."""

from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.losses.targets import TargetPair, sum_pixels

_ITERATIONS = 10
"""Half the width in pixels of the thickest line that has a skeleton: the paper's k."""


def centreline_dice(pair: TargetPair) -> Tensor:
    """Return the soft clDice loss, the mean over the classes except the background.

    With the soft skeletons s(p) and s(t) of probabilities p and truth t it is
    1 - 2 T_prec T_sens / (T_prec + T_sens), where T_prec = (sum(s(p) t) + 1) / (sum(s(p)) + 1)
    and T_sens = (sum(s(t) p) + 1) / (sum(s(t)) + 1) (the paper's algorithm 2). With the added
    ones, an empty class that is not predicted has a loss of 0. Weights are not used. Ignored
    pixels are background in truth and prediction, so that nothing predicted there affects its
    neighbourhood.

    Args:
        pair: Truth and prediction.

    Returns:
        `(batch,)`.
    """
    p, t = pair.foreground
    precision = _fraction_within(soft_skeleton(p), t)
    sensitivity = _fraction_within(soft_skeleton(t), p)
    return ops.mean(1 - 2 * precision * sensitivity / (precision + sensitivity), axis=-1)


def soft_skeleton(mask: Tensor, iterations: int = _ITERATIONS) -> Tensor:
    """Return the soft skeleton of a mask (the paper's algorithm 1).

    Each iteration adds what opening removes, then erodes. Erosion is the minimum over a pixel and
    its four neighbours, dilation the maximum over 3 x 3 pixels. Pixels outside the image are left
    out of both, so that a line keeps its skeleton up to the image's border.

    Args:
        mask: `(batch, height, width, channels)`, from 0 to 1.
        iterations: Half the width in pixels of the thickest line.

    Returns:
        The same shape, from 0 to 1.
    """
    eroded = _erode(mask)
    skeleton = ops.relu(mask - _dilate(eroded))
    for _ in range(iterations):
        mask, eroded = eroded, _erode(eroded)
        skeleton = skeleton + (1 - skeleton) * ops.relu(mask - _dilate(eroded))
    return skeleton


def _fraction_within(skeleton: Tensor, mask: Tensor) -> Tensor:
    return (sum_pixels(skeleton * mask) + 1) / (sum_pixels(skeleton) + 1)


def _erode(mask: Tensor) -> Tensor:
    return -ops.maximum(_maximum(-mask, (3, 1)), _maximum(-mask, (1, 3)))


def _dilate(mask: Tensor) -> Tensor:
    return _maximum(mask, (3, 3))


def _maximum(values: Tensor, window: tuple[int, int]) -> Tensor:
    return ops.max_pool(values, window, strides=1, padding="same", data_format="channels_last")
