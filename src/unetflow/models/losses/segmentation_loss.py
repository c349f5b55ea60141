"""The training loss: a weighted sum of losses, given by their names."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from unetflow.config.loss import read_loss
from unetflow.core.errors import InputError
from unetflow.models.blocks import Tensor
from unetflow.models.losses.centreline import centreline_dice
from unetflow.models.losses.cross_entropy import (
    binary_cross_entropy,
    categorical_cross_entropy,
    focal,
)
from unetflow.models.losses.lovasz import lovasz_softmax
from unetflow.models.losses.overlap import soft_dice, tversky
from unetflow.models.losses.targets import TargetPair, pair_targets

LOSSES: Mapping[str, Callable[[TargetPair], Tensor]] = MappingProxyType(
    {
        "bce": binary_cross_entropy,
        "cce": categorical_cross_entropy,
        "dice": soft_dice,
        "focal": focal,
        "tversky": tversky,
        "lovasz": lovasz_softmax,
        "cldice": centreline_dice,
    }
)
"""Functions from truth and prediction to the loss of each image, `(batch,)`."""


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
        outputs: Number of outputs concatenated in the prediction: the network's own and those of
            deep supervision. Each has half the weight of the one before, as in nnU-Net (Isensee
            et al. 2021); all weights sum to 1.
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
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.terms = read_loss(terms)
        self.outputs = outputs
        self.class_weights = None if class_weights is None else tuple(map(float, class_weights))
        for weight in self.class_weights or ():
            if not 0 <= weight < math.inf:
                raise InputError(
                    "training.class_weights", f"{weight} is not a weight", "Give positive numbers"
                )

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each image.

        Args:
            y_true: `(batch, height, width, 1)` labels from 0, with 255 for ignored pixels; or
                `(batch, height, width, 2)` float32 with pixel weights for `bce`, `cce` and
                `focal` as the second channel.
            y_pred: `(batch, height, width, 1)` probabilities of class 1, or
                `(batch, height, width, classes)` probabilities of all classes; the same number of
                channels again for each further output.

        Returns:
            `(batch,)`.

        Raises:
            InputError: The number of class weights is not the number of classes.
        """
        factors = [0.5**number for number in range(self.outputs)]
        first, *others = (
            factor / sum(factors) * self._loss_of(y_true, output)
            for factor, output in zip(
                factors, ops.split(y_pred, self.outputs, axis=-1), strict=True
            )
        )
        return sum(others, start=first)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, which Keras stores with a model."""
        return {
            **super().get_config(),
            "terms": self.terms,
            "class_weights": None if self.class_weights is None else list(self.class_weights),
            "outputs": self.outputs,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SegmentationLoss":
        """Restore a loss; files written by earlier versions have the terms as `formula`."""
        names = {"formula": "terms"}
        return cls(**{names.get(key, key): value for key, value in config.items()})

    def _loss_of(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        pair = pair_targets(y_true, y_pred, self.class_weights)
        first, *others = (weight * LOSSES[name](pair) for name, weight in self.terms.items())
        return sum(others, start=first)
