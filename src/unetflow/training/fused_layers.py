"""A copy of a network that trains faster: the same function of the same weights.

Most of a training step goes to convolutions, which TensorFlow hands to a library that is near the
processor's limit. What the copy saves lies between them: Keras normalises a batch in some ten
passes over it, in float32 even where the network computes in bfloat16; TensorFlow has one operation
for it. And a bias before a batch normalisation is added and differentiated for nothing, since the
normalisation takes the mean off again.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from unetflow.models.blocks import Tensor

WAY_OF_TRAINING = 2
"""Counted up by a change after which trainings that were cut off before cannot be gone on with."""

_IN_FLOAT32 = ("probabilities", "enlarge", "cut", "all_probabilities")
"""The heads and what follows them: a probability near 1 has no 3 digits in bfloat16."""


class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalisation of the last axis by TensorFlow's one operation for it.

    Statistics, scale and offset are in float32, whatever the type of the input. Means and
    variances move as Keras's do: by the variance of the batch itself, not by the estimate for
    the population that the operation returns.
    """

    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Tensor:
        """Normalise `(batch, height, width, channels)`."""
        import tensorflow as tf

        learns = bool(training) and self.trainable
        empty = tf.zeros([0])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=empty if learns else self.moving_mean.value,
            variance=empty if learns else self.moving_variance.value,
            epsilon=self.epsilon,
            is_training=learns,
        )
        if learns:
            count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), variance.dtype)
            self._follow(self.moving_mean, mean)
            self._follow(self.moving_variance, variance * (count - 1) / count)
            self.add_loss(_not_a_number_unless_finite(variance))
        return outputs

    def _follow(self, moving: Any, value: Tensor) -> None:
        moving.assign(self.momentum * moving + (1 - self.momentum) * value)


class UnbiasedConvolution(layers.Conv2D):
    """A convolution whose bias is there, for the weights' sake, but neither added nor learnt."""

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        super().build(input_shape)
        self.bias.trainable = False

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve `(batch, height, width, channels)`."""
        return self.convolution_op(inputs, self.kernel)


class CheckedConvolution(layers.Conv2D):
    """A convolution that makes the loss no number when its kernel, or the image, is none."""

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve `(batch, height, width, channels)`."""
        self.add_loss(_not_a_number_unless_finite(self.kernel))
        if self._is_first:
            self.add_loss(_not_a_number_unless_finite(inputs))
        return super().call(inputs)

    _is_first = False


class FirstConvolution(CheckedConvolution):
    """The one that sees the image."""

    _is_first = True


def copy_for_training(unet: keras.Model, precision: str) -> keras.Model:
    """Return a copy that trains faster, with the same weights in the same order.

    Args:
        unet: A network that `build_unet` made, in float32. Its biases before batch normalisation
            become 0, and the moving means smaller by them, which changes nothing that it computes.
        precision: What the copy computes in, one of `precision.PRECISIONS`. The weights are in
            float32 either way, and so are losses, probabilities and the statistics of batches.

    Returns:
        The copy, uncompiled. `unet.set_weights(copy.get_weights())` brings back what it learns.
    """
    before = _convolutions_before_normalisation(unet)
    for convolution, normalisation in before.items():
        bias, moving_mean = unet.get_layer(convolution).bias, normalisation.moving_mean
        moving_mean.assign(moving_mean - bias)
        bias.assign(np.zeros(bias.shape))

    def copy_layer(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if precision != "float32" and not layer.name.startswith(_IN_FLOAT32):
            config["dtype"] = f"mixed_{precision}"
        return _class_of(layer, before).from_config(config)

    copy = keras.models.clone_model(unet, clone_function=copy_layer)
    copy.set_weights(unet.get_weights())
    return copy


def _convolutions_before_normalisation(unet: keras.Model) -> dict[str, layers.Layer]:
    """Return the names of convolutions and the batch normalisations that follow them."""
    found = {}
    for layer in unet.layers:
        if isinstance(layer, layers.BatchNormalization):
            source = _source_of(layer)
            if isinstance(source, layers.Conv2D):
                found[source.name] = layer
    return found


def _class_of(layer: layers.Layer, before: dict[str, layers.Layer]) -> type[layers.Layer]:
    if layer.name in before:
        return UnbiasedConvolution
    # Other backends compile the many passes into few by themselves, and hide nothing.
    if keras.backend.backend() != "tensorflow":
        return type(layer)
    if isinstance(layer, layers.BatchNormalization):
        return FusedBatchNormalization
    if type(layer) is layers.Conv2D:
        is_first = isinstance(_source_of(layer), layers.InputLayer)
        return FirstConvolution if is_first else CheckedConvolution
    return type(layer)


def _source_of(layer: layers.Layer) -> layers.Layer:
    return layer.input._keras_history.operation


def _not_a_number_unless_finite(values: Tensor) -> Tensor:
    """Return a part of the loss that is 0, or no number where one of these values is none.

    TensorFlow joins a convolution or a normalisation with the ReLU behind it, and on some
    processors that makes 0 of what is no number: a training whose weights are spoilt would go on
    with nothing in its loss to show for it.
    """
    return ops.where(ops.all(ops.isfinite(values)), 0.0, math.nan)
