"""What training minimises, and the Dice that it shows."""

from typing import Any

import keras
from keras import ops

from unetflow.imaging.labels import IGNORE
from unetflow.unet.blocks import Tensor

_TINY = 1e-7


@keras.saving.register_keras_serializable("unetflow")
class CrossEntropyDice(keras.losses.Loss):
    """Binary cross-entropy plus soft Dice loss, each taken for each image by itself.

    Both leave out ignored pixels. The soft Dice of an image with probabilities p and truth t is
    (2 sum(p t) + 1) / (sum(p) + sum(t) + 1); the ones make an empty image with an empty
    prediction perfect. Since no sum runs over the batch, the loss of a batch is the mean of its
    images' losses, whatever its size.

    Args:
        cross_entropy_weight: Factor of the cross-entropy.
        dice_weight: Factor of the Dice loss.
        **options: Keras's own, such as `name`.
    """

    def __init__(
        self, cross_entropy_weight: float = 1.0, dice_weight: float = 1.0, **options: Any
    ) -> None:
        super().__init__(**options)
        self.cross_entropy_weight = cross_entropy_weight
        self.dice_weight = dice_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each image.

        Args:
            y_true: `(batch, height, width, 1)` labels: 0, 1, or 255 to be ignored.
            y_pred: `(batch, height, width, 1)` probabilities of the foreground.

        Returns:
            `(batch,)`.
        """
        counted, truth = _split_label(y_true, y_pred.dtype)
        chance = ops.clip(y_pred, _TINY, 1 - _TINY)
        entropy = -(truth * ops.log(chance) + (1 - truth) * ops.log(1 - chance))
        mean_entropy = _sum(entropy * counted) / ops.maximum(_sum(counted), 1)
        overlap = 2 * _sum(y_pred * truth) + 1
        dice = overlap / (_sum(y_pred * counted) + _sum(truth) + 1)
        return self.cross_entropy_weight * mean_entropy + self.dice_weight * (1 - dice)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, so that Keras can store the loss."""
        return {
            **super().get_config(),
            "cross_entropy_weight": self.cross_entropy_weight,
            "dice_weight": self.dice_weight,
        }


@keras.saving.register_keras_serializable("unetflow")
def dice(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return the Dice of each image at threshold 0.5; 1 where truth and prediction are empty.

    Args:
        y_true: `(batch, height, width, 1)` labels: 0, 1, or 255 to be ignored.
        y_pred: `(batch, height, width, 1)` probabilities of the foreground.

    Returns:
        `(batch,)`, of which Keras takes the mean over all images of an epoch.
    """
    counted, truth = _split_label(y_true, y_pred.dtype)
    found = ops.cast(y_pred >= 0.5, y_pred.dtype) * counted
    size = _sum(found) + _sum(truth)
    return ops.where(size > 0, 2 * _sum(found * truth) / ops.maximum(size, 1), 1.0)


def _split_label(y_true: Tensor, dtype: Any) -> tuple[Tensor, Tensor]:
    """Return which pixels count and which are foreground, both as 0 or 1."""
    return ops.cast(y_true != IGNORE, dtype), ops.cast(y_true == 1, dtype)


def _sum(values: Tensor) -> Tensor:
    return ops.sum(values, axis=(1, 2, 3))
