"""The Dice coefficient as a Keras metric."""

import keras
from keras import ops

from unetflow.models.blocks import Tensor
from unetflow.models.losses.targets import pair_targets, sum_pixels


@keras.saving.register_keras_serializable("unetflow")
def dice(y_true: Tensor, y_pred: Tensor, outputs: int = 1) -> Tensor:
    """Return the Dice of each image, the mean over the classes except the background.

    A class that is absent from an image's truth and prediction is left out of the mean. If this
    leaves no class, the Dice is 1.

    Args:
        y_true: `(batch, height, width, 1)` labels from 0, with 255 for ignored pixels; a second
            channel is not used.
        y_pred: `(batch, height, width, 1)` probabilities of class 1, thresholded at 0.5; or
            `(batch, height, width, classes)`, of which the most probable class is taken.
        outputs: Number of outputs concatenated in the prediction; the first one counts.

    Returns:
        `(batch,)`, from 0 to 1.
    """
    channels = y_pred.shape[-1] // outputs
    y_pred = y_pred[..., :channels]
    if channels == 1:
        mask = ops.cast(y_pred >= 0.5, y_pred.dtype)
    else:
        mask = ops.one_hot(ops.argmax(y_pred, axis=-1), channels, dtype=y_pred.dtype)
    predicted, truth = pair_targets(y_true, mask).foreground
    size = sum_pixels(predicted) + sum_pixels(truth)
    present = ops.cast(size > 0, size.dtype)
    dices = 2 * sum_pixels(predicted * truth) / ops.maximum(size, 1)
    number = ops.sum(present, axis=-1)
    mean = ops.sum(dices, axis=-1) / ops.maximum(number, 1)
    return ops.where(number > 0, mean, ops.ones_like(mean))
