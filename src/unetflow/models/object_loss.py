"""The losses of the outputs that separate touching objects."""

from dataclasses import replace

from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.loss_terms import LOSSES, mean_over_counted, pair_targets


def object_loss(name: str, y_true: Tensor, target: Tensor, prediction: Tensor) -> Tensor:
    """Return the loss of an output for objects, `(batch,)`; ignored pixels do not count.

    That of a boundary is the sum of binary cross-entropy and soft Dice, since boundaries are rare.
    That of a distance is the mean absolute error. The pixels' weights apply to the cross-entropy
    and to the error.

    Args:
        name: "boundary" or "distance"; see `core.types.OBJECT_OUTPUTS`.
        y_true: Labels and weights, as for `pair_targets`.
        target: `(batch, height, width, 1)`, from 0 to 1.
        prediction: The network's output, of the same shape.
    """
    pair = pair_targets(y_true, prediction)
    pair = replace(pair, truth=ops.cast(target, prediction.dtype) * pair.counted)
    if name == "boundary":
        return LOSSES["bce"](pair) + LOSSES["dice"](pair)
    return mean_over_counted(ops.abs(pair.prediction - pair.truth), pair)
