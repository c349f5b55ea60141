"""The losses of the outputs that separate touching objects."""

from dataclasses import replace

from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.loss_terms import LOSSES, mean_over_counted, pair_targets


def object_loss(name: str, y_true: Tensor, target: Tensor, prediction: Tensor) -> Tensor:
    """Return the loss of an output for objects, `(batch,)`; ignored pixels do not count.

    That of a boundary is the sum of binary cross-entropy and soft Dice, since boundaries are rare.
    That of a distance is the mean absolute error over all pixels, plus that over the pixels of
    objects, which are few and alone decide where objects part. The pixels' weights apply to the
    cross-entropy and to the errors.

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
    error = ops.abs(pair.prediction - pair.truth)
    inside = ops.cast(pair.truth > 0, error.dtype)
    over_objects = replace(pair, counted=inside, weight=pair.weight * inside)
    return mean_over_counted(error, pair) + mean_over_counted(error, over_objects)
