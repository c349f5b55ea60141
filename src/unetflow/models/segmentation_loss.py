"""The training loss, a weighted sum of named losses, and the Dice coefficient as a metric."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from unetflow.config.loss import read_loss
from unetflow.core.errors import InputError
from unetflow.core.types import OBJECT_OUTPUTS
from unetflow.models.blocks import Tensor
from unetflow.models.loss_terms import LOSSES, pair_targets, sum_pixels
from unetflow.models.object_loss import object_loss


@keras.saving.register_keras_serializable("unetflow")
class SegmentationLoss(keras.losses.Loss):
    """A weighted sum of losses, computed for each image separately.

    Ignored pixels change neither the value nor the gradient. No sum runs over the batch, so the
    loss of a batch is the mean over its images, whatever its size.

    Args:
        terms: Names of losses (see `LOSSES`) and their weights, or the sum as a text such as
            "0.5*focal + tversky".
        class_weights: A weight per class, two for a sigmoid channel. `bce`, `cce` and `focal`
            multiply the pixels of a class by it.
        outputs: Number of heads concatenated in the prediction: the network's own and those of
            deep supervision. Each has half the weight of the one before, as in nnU-Net (Isensee
            et al. 2021); all weights sum to 1.
        instances: The outputs for objects that follow them, see `core.types.OBJECT_OUTPUTS`. The
            loss of each is added; see `object_loss.object_loss`.
        **options: Arguments of `keras.losses.Loss`, such as `name`.

    Raises:
        InputError: A loss is unknown, or a weight is negative or not finite.

    Example:
        ```python
        loss = SegmentationLoss({"bce": 1, "dice": 1})
        unet.compile(optimizer="adam", loss=loss, metrics=[dice])
        ```
    """

    def __init__(
        self,
        terms: Mapping[str, float] | str,
        class_weights: Sequence[float] | None = None,
        outputs: int = 1,
        instances: str = "none",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.terms = read_loss(terms)
        self.outputs = outputs
        self.instances = instances
        self.class_weights = None if class_weights is None else tuple(map(float, class_weights))
        for weight in self.class_weights or ():
            if not 0 <= weight < math.inf:
                raise InputError(
                    "training.class_weights", f"{weight} is not a weight", "Give positive numbers"
                )

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each image, `(batch,)`.

        Args:
            y_true: Labels, with pixel weights for `bce`, `cce` and `focal` as a second channel or
                without (see `pair_targets`); with outputs for objects, always with weights, and
                then a channel for each of these outputs.
            y_pred: Probabilities of class 1 or of all classes, `(batch, height, width, channels)`;
                the same number of channels again for each further head, and then the outputs for
                objects.

        Raises:
            InputError: The number of class weights is not the number of classes.
        """
        factors = [0.5**number for number in range(self.outputs)]
        names = OBJECT_OUTPUTS[self.instances]
        classes = y_pred.shape[-1] - len(names)
        heads = ops.split(y_pred[..., :classes], self.outputs, axis=-1)
        label = y_true[..., :2]
        first, *others = (
            factor / sum(factors) * self._loss_of(label, head)
            for factor, head in zip(factors, heads, strict=True)
        )
        for number, name in enumerate(names):
            place = slice(classes + number, classes + number + 1)
            target = y_true[..., 2 + number : 3 + number]
            others.append(object_loss(name, label, target, y_pred[..., place]))
        return sum(others, start=first)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, which Keras stores with a model."""
        weights = None if self.class_weights is None else list(self.class_weights)
        own = {"terms": self.terms, "class_weights": weights, "outputs": self.outputs}
        return {**super().get_config(), **own, "instances": self.instances}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SegmentationLoss":
        """Restore a loss; files written by earlier versions have the terms as `formula`."""
        names = {"formula": "terms"}
        return cls(**{names.get(key, key): value for key, value in config.items()})

    def _loss_of(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        pair = pair_targets(y_true, y_pred, self.class_weights)
        first, *others = (weight * LOSSES[name](pair) for name, weight in self.terms.items())
        return sum(others, start=first)


@keras.saving.register_keras_serializable("unetflow")
def dice(y_true: Tensor, y_pred: Tensor, outputs: int = 1, instances: str = "none") -> Tensor:
    """Return the Dice of each image, `(batch,)`: the mean over the classes except the background.

    A class that is absent from an image's truth and prediction is left out of the mean. If this
    leaves no class, the Dice is 1.

    Args:
        y_true: `(batch, height, width, 1)` labels from 0, with 255 for ignored pixels; further
            channels are not used.
        y_pred: `(batch, height, width, 1)` probabilities of class 1, thresholded at 0.5; or
            `(batch, height, width, classes)`, of which the most probable class is taken.
        outputs: Number of heads concatenated in the prediction; the first one counts.
        instances: The outputs for objects that follow them and do not count.
    """
    channels = (y_pred.shape[-1] - len(OBJECT_OUTPUTS[instances])) // outputs
    y_pred = y_pred[..., :channels]
    if channels == 1:
        mask = ops.cast(y_pred >= 0.5, y_pred.dtype)
    else:
        mask = ops.one_hot(ops.argmax(y_pred, axis=-1), channels, dtype=y_pred.dtype)
    predicted, truth = pair_targets(y_true[..., :1], mask).foreground
    size = sum_pixels(predicted) + sum_pixels(truth)
    present = ops.cast(size > 0, size.dtype)
    dices = 2 * sum_pixels(predicted * truth) / ops.maximum(size, 1)
    number = ops.sum(present, axis=-1)
    mean = ops.sum(dices, axis=-1) / ops.maximum(number, 1)
    return ops.where(number > 0, mean, ops.ones_like(mean))
