"""The loss that a text describes."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from unetflow.config.loss_terms import parse_formula
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
"""Each takes truth and prediction and returns `(batch,)`."""


@keras.saving.register_keras_serializable("unetflow")
class SegmentationLoss(keras.losses.Loss):
    """A weighted sum of losses, each taken for each image by itself.

    Ignored pixels change neither its value nor its gradient. Since no sum runs over the batch,
    the loss of a batch is the mean of its images' losses, whatever its size.

    Args:
        formula: Such as "bce + dice" or "0.5*focal + tversky"; see `parse_formula`.
        class_weights: A weight for each class, two for a sigmoid channel, by which `bce`, `cce`
            and `focal` multiply the pixels of the class.
        outputs: How many outputs stand behind each other in the prediction, the network's own
            and those of deep supervision. Each counts half as much as the one before, as in
            nnU-Net (Isensee et al. 2021), and all together as much as one.
        **options: Keras's own, such as `name`.

    Raises:
        InputError: The formula cannot be read, or a weight is negative or not finite.

    Example:
        ```python
        unet.compile(optimizer="adam", loss=SegmentationLoss("bce + dice"), metrics=[dice])
        ```
    """

    def __init__(
        self,
        formula: str,
        class_weights: Sequence[float] | None = None,
        outputs: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.formula = formula
        self.outputs = outputs
        self.class_weights = None if class_weights is None else tuple(map(float, class_weights))
        self._terms = parse_formula(formula)
        for weight in self.class_weights or ():
            if not 0 <= weight < math.inf:
                raise InputError(
                    "training.class_weights", f"{weight} is no weight", "Give positive numbers"
                )

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each image.

        Args:
            y_true: `(batch, height, width, 1)` labels from 0, or 255 to be ignored; or
                `(batch, height, width, 2)` float32 with a weight for each pixel as the second
                channel, for `bce`, `cce` and `focal`.
            y_pred: `(batch, height, width, 1)` probabilities of class 1 or
                `(batch, height, width, classes)` probabilities of all classes, and as many
                channels more for each further output.

        Returns:
            `(batch,)`.

        Raises:
            InputError: There is not one class weight for each class.
        """
        shares = [0.5**number for number in range(self.outputs)]
        first, *others = (
            share / sum(shares) * self._loss_of(y_true, output)
            for share, output in zip(shares, ops.split(y_pred, self.outputs, axis=-1), strict=True)
        )
        return sum(others, start=first)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, so that Keras can store the loss."""
        return {
            **super().get_config(),
            "formula": self.formula,
            "class_weights": None if self.class_weights is None else list(self.class_weights),
            "outputs": self.outputs,
        }

    def _loss_of(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        pixels = pair_targets(y_true, y_pred, self.class_weights)
        first, *others = (factor * LOSSES[name](pixels) for factor, name in self._terms)
        return sum(others, start=first)
