"""The centreline Dice (Shit et al. 2021, arXiv 2003.07311), for vessels, cracks and membranes."""

from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.losses.targets import TargetPair, sum_pixels

_THICKEST = 10
"""Half the width in pixels up to which a line's skeleton is found: the paper's k."""


def centreline_dice(pixels: TargetPair) -> Tensor:
    """Return the soft clDice loss of each image, the mean over the classes but the background.

    With the soft skeletons s(p) and s(t) of probabilities p and truth t it is
    1 - 2 T_prec T_sens / (T_prec + T_sens), where T_prec = (sum(s(p) t) + 1) / (sum(s(p)) + 1)
    and T_sens = (sum(s(t) p) + 1) / (sum(s(t)) + 1) (the paper's algorithm 2). The ones make an
    empty class with an empty prediction perfect. Weights are left aside. Ignored pixels are
    background in both, so that nothing predicted there spreads into its neighbourhood.

    Args:
        pixels: Truth and prediction.

    Returns:
        `(batch,)`.
    """
    chance, truth = pixels.foreground
    precision = _share_within(soft_skeleton(chance), truth)
    sensitivity = _share_within(soft_skeleton(truth), chance)
    return ops.mean(1 - 2 * precision * sensitivity / (precision + sensitivity), axis=-1)


def soft_skeleton(mask: Tensor, iterations: int = _THICKEST) -> Tensor:
    """Return what is left of lines when they are thinned (the paper's algorithm 1).

    Each round takes what opening would remove, then erodes once more. Erosion is the minimum over
    a pixel and its four neighbours, dilation the maximum over 3 x 3. What lies outside the image
    takes no part, so that a line which the edge cuts stays whole.

    Args:
        mask: `(batch, height, width, channels)` from 0 to 1.
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


def _share_within(skeleton: Tensor, mask: Tensor) -> Tensor:
    return (sum_pixels(skeleton * mask) + 1) / (sum_pixels(skeleton) + 1)


def _erode(mask: Tensor) -> Tensor:
    return -ops.maximum(_highest(-mask, (3, 1)), _highest(-mask, (1, 3)))


def _dilate(mask: Tensor) -> Tensor:
    return _highest(mask, (3, 3))


def _highest(values: Tensor, window: tuple[int, int]) -> Tensor:
    return ops.max_pool(values, window, strides=1, padding="same", data_format="channels_last")
