"""Truth and prediction side by side, as every loss needs them."""

from collections.abc import Sequence
from dataclasses import dataclass

from keras import ops

from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE
from unetflow.models.blocks import Tensor


@dataclass(frozen=True)
class TargetPair:
    """A batch's truth and prediction; at ignored pixels all four are 0, whatever was predicted.

    Attributes:
        chance: `(batch, height, width, channels)` predicted probabilities: of class 1 where
            there is one channel, else of all classes.
        truth: Of the same shape and type: 1 where a pixel is of the channel's class, else 0.
        counted: `(batch, height, width, 1)`: 0 where a pixel is ignored, else 1.
        weight: `(batch, height, width, 1)`: of each pixel, in the cross-entropies.
    """

    chance: Tensor
    truth: Tensor
    counted: Tensor
    weight: Tensor

    @property
    def is_sigmoid(self) -> bool:
        """Whether there is one channel, of class 1, and none of the background."""
        return bool(self.chance.shape[-1] == 1)

    @property
    def foreground(self) -> tuple[Tensor, Tensor]:
        """Chance and truth without the channel of the background."""
        first = 0 if self.is_sigmoid else 1
        return self.chance[..., first:], self.truth[..., first:]


def pair_targets(
    y_true: Tensor, y_pred: Tensor, class_weights: Sequence[float] | None = None
) -> TargetPair:
    """Split the truth and leave out the prediction at ignored pixels.

    Args:
        y_true: `(batch, height, width, 1)` labels from 0, or 255 to be ignored;
            `(batch, height, width, 2)` float32 adds a weight for each pixel (the weight map of
            arXiv 1505.04597, equation 2).
        y_pred: `(batch, height, width, 1)` probabilities of class 1 or
            `(batch, height, width, classes)` probabilities of all classes.
        class_weights: A weight for each class, by which its pixels' weights are multiplied.

    Returns:
        Both, in the type of `y_pred`.

    Raises:
        InputError: There is not one weight for each class.
    """
    dtype, channels = y_pred.dtype, y_pred.shape[-1]
    label = ops.cast(y_true[..., :1], "int32")
    is_counted = ops.not_equal(label, IGNORE)
    # A selection and no product: it keeps out a prediction that is no number, too.
    chance = ops.where(is_counted, y_pred, ops.zeros_like(y_pred))
    # No channel has the number of ignored pixels, so that they are of no class.
    numbers = [1] if channels == 1 else range(channels)
    truth = ops.cast(ops.equal(label, ops.array(list(numbers), "int32")), dtype)
    counted = ops.cast(is_counted, dtype)
    weight = counted
    if y_true.shape[-1] == 2:
        given = ops.cast(y_true[..., 1:], dtype)
        weight = ops.where(is_counted, given, ops.zeros_like(given))
    if class_weights is not None:
        weight = weight * _weight_of_class(label, class_weights, max(channels, 2), dtype)
    return TargetPair(chance, truth, counted, weight)


def sum_pixels(values: Tensor) -> Tensor:
    """Sum over height and width: `(batch, height, width, channels)` to `(batch, channels)`."""
    return ops.sum(values, axis=(1, 2))


def _weight_of_class(
    label: Tensor, class_weights: Sequence[float], classes: int, dtype: str
) -> Tensor:
    if len(class_weights) != classes:
        raise InputError(
            "training.class_weights",
            f"it lists {len(class_weights)} weights for {classes} classes",
            "Give one for each class, the background first",
        )
    is_class = ops.cast(ops.equal(label, ops.arange(classes, dtype="int32")), dtype)
    return ops.sum(is_class * ops.array(list(class_weights), dtype), axis=-1, keepdims=True)
