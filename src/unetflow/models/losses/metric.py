"""The Dice that training shows."""

import keras
from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.losses.targets import pair_targets, sum_pixels


@keras.saving.register_keras_serializable("unetflow")
def dice(y_true: Tensor, y_pred: Tensor, outputs: int = 1) -> Tensor:
    """Return the Dice of each image, the mean over the classes but the background.

    A class that is neither in an image's truth nor in its prediction is left out of the mean;
    the Dice is 1 where that leaves none.

    Args:
        y_true: `(batch, height, width, 1)` labels from 0, or 255 to be ignored; a second channel
            is left aside.
        y_pred: `(batch, height, width, 1)` probabilities of class 1, found from 0.5 on; or
            `(batch, height, width, classes)`, of which the most probable class is found.
        outputs: How many outputs stand behind each other in the prediction; the first counts.

    Returns:
        `(batch,)`, of which Keras takes the mean over all images of an epoch.
    """
    channels = y_pred.shape[-1] // outputs
    y_pred = y_pred[..., :channels]
    if channels == 1:
        found = ops.cast(y_pred >= 0.5, y_pred.dtype)
    else:
        found = ops.one_hot(ops.argmax(y_pred, axis=-1), channels, dtype=y_pred.dtype)
    predicted, truth = pair_targets(y_true, found).foreground
    size = sum_pixels(predicted) + sum_pixels(truth)
    there = ops.cast(size > 0, size.dtype)
    dices = 2 * sum_pixels(predicted * truth) / ops.maximum(size, 1)
    number = ops.sum(there, axis=-1)
    mean = ops.sum(dices, axis=-1) / ops.maximum(number, 1)
    return ops.where(number > 0, mean, ops.ones_like(mean))
