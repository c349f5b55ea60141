"""The pair of truth and prediction from which every loss is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

from keras import ops

from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE
from unetflow.models.blocks import Tensor


@dataclass(frozen=True)
class TargetPair:
    """Truth and prediction of a batch. All four tensors are 0 at ignored pixels.

    Attributes:
        prediction: `(batch, height, width, channels)` probabilities: of class 1 for one channel,
            of all classes for several.
        truth: Same shape and dtype: 1 where the pixel belongs to the channel's class, else 0.
        counted: `(batch, height, width, 1)`: 0 at ignored pixels, else 1.
        weight: `(batch, height, width, 1)`: the pixels' weights in the cross-entropies.
    """

    prediction: Tensor
    truth: Tensor
    counted: Tensor
    weight: Tensor

    @property
    def is_sigmoid(self) -> bool:
        """Whether there is a single channel, that of class 1."""
        return bool(self.prediction.shape[-1] == 1)

    @property
    def foreground(self) -> tuple[Tensor, Tensor]:
        """Prediction and truth without the background's channel."""
        first = 0 if self.is_sigmoid else 1
        return self.prediction[..., first:], self.truth[..., first:]


def pair_targets(
    y_true: Tensor, y_pred: Tensor, class_weights: Sequence[float] | None = None
) -> TargetPair:
    """Encode the truth like the prediction and mask ignored pixels in both.

    Args:
        y_true: `(batch, height, width, 1)` labels from 0, with 255 for ignored pixels; or
            `(batch, height, width, 2)` float32 with pixel weights as the second channel (the
            weight map of arXiv 1505.04597, equation 2).
        y_pred: `(batch, height, width, 1)` probabilities of class 1, or
            `(batch, height, width, classes)` probabilities of all classes.
        class_weights: A factor for the weights of each class's pixels.

    Returns:
        The pair, in the dtype of `y_pred`.

    Raises:
        InputError: The number of class weights is not the number of classes.
    """
    dtype, channels = y_pred.dtype, y_pred.shape[-1]
    label = ops.cast(y_true[..., :1], "int32")
    is_counted = ops.not_equal(label, IGNORE)
    # `where` also masks a prediction that is not a number; a product with 0 would keep it.
    prediction = ops.where(is_counted, y_pred, ops.zeros_like(y_pred))
    # No channel has the number 255, so ignored pixels belong to no class.
    numbers = [1] if channels == 1 else range(channels)
    truth = ops.cast(ops.equal(label, ops.array(list(numbers), "int32")), dtype)
    counted = ops.cast(is_counted, dtype)
    weight = counted
    if y_true.shape[-1] == 2:
        given = ops.cast(y_true[..., 1:], dtype)
        weight = ops.where(is_counted, given, ops.zeros_like(given))
    if class_weights is not None:
        weight = weight * _weight_by_class(label, class_weights, max(channels, 2), dtype)
    return TargetPair(prediction, truth, counted, weight)


def sum_pixels(values: Tensor) -> Tensor:
    """Sum over height and width: `(batch, height, width, channels)` to `(batch, channels)`."""
    return ops.sum(values, axis=(1, 2))


def _weight_by_class(
    label: Tensor, class_weights: Sequence[float], classes: int, dtype: str
) -> Tensor:
    if len(class_weights) != classes:
        raise InputError(
            "training.class_weights",
            f"it lists {len(class_weights)} weights for {classes} classes",
            "Give one weight per class, the background first",
        )
    is_class = ops.cast(ops.equal(label, ops.arange(classes, dtype="int32")), dtype)
    return ops.sum(is_class * ops.array(list(class_weights), dtype), axis=-1, keepdims=True)
