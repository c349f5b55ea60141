"""A copy of a network that trains faster and computes the same function of the same weights.

Keras normalises a batch in about ten passes over it, in float32 even where the network computes in
bfloat16; TensorFlow has one operation for it. A bias before a batch normalisation is useless, since
the normalisation subtracts the mean.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from unetflow.models.blocks import Tensor

WAY_OF_TRAINING = 2
"""Raised by a change after which earlier interrupted trainings cannot be resumed."""

_IN_FLOAT32 = ("probabilities", "enlarge", "cut", "all_probabilities", "boundary", "distance")
"""The heads and what follows them: a probability near 1 has fewer than 3 digits in bfloat16."""


class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalisation of the last axis by TensorFlow's fused operation.

    Statistics, scale and offset are in float32 for any type of the input. As in Keras, the moving
    variance follows the biased variance of the batch, while the operation returns the unbiased one.
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
    """A convolution that keeps its bias among the weights, but neither adds nor learns it."""

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        super().build(input_shape)
        self.bias.trainable = False

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve `(batch, height, width, channels)`."""
        return self.convolution_op(inputs, self.kernel)


class CheckedConvolution(layers.Conv2D):
    """A convolution that makes the loss NaN when its kernel is not finite."""

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve `(batch, height, width, channels)`."""
        self.add_loss(_not_a_number_unless_finite(self.kernel))
        return super().call(inputs)


class FirstConvolution(CheckedConvolution):
    """The one that sees the image, which it checks, too."""

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve `(batch, height, width, channels)`."""
        self.add_loss(_not_a_number_unless_finite(inputs))
        return super().call(inputs)


def copy_for_training(unet: keras.Model, precision: str) -> keras.Model:
    """Return a copy that trains faster, with the same weights in the same order.

    Args:
        unet: A network that `build_unet` made, in float32. Its biases before batch normalisation
            become 0, and the moving means smaller by them, which changes nothing that it computes.
        precision: One of `machine.PRECISIONS`; weights, losses, probabilities and the statistics
            of batches are in float32 either way.

    Returns:
        The copy, uncompiled. `unet.set_weights(copy.get_weights())` copies its weights back.
    """
    unbiased = set()
    for layer in unet.layers:
        if isinstance(layer, layers.BatchNormalization):
            source = _source_of(layer)
            if isinstance(source, layers.Conv2D):
                layer.moving_mean.assign(layer.moving_mean - source.bias)
                source.bias.assign(np.zeros(source.bias.shape))
                unbiased.add(source.name)

    def copy_layer(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if precision != "float32" and not layer.name.startswith(_IN_FLOAT32):
            config["dtype"] = f"mixed_{precision}"
        return _class_of(layer, unbiased).from_config(config)

    copy = keras.models.clone_model(unet, clone_function=copy_layer)
    copy.set_weights(unet.get_weights())
    return copy


def _class_of(layer: layers.Layer, unbiased: set[str]) -> type[layers.Layer]:
    if layer.name in unbiased:
        return UnbiasedConvolution
    # Other backends fuse the passes by themselves.
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
    """Return a part of the loss that is 0, or NaN where a value is not finite.

    TensorFlow fuses a convolution or a normalisation with the ReLU behind it, which makes 0 of NaN
    on some processors: without this, spoilt weights would not show in the loss.
    """
    return ops.where(ops.all(ops.isfinite(values)), 0.0, math.nan)
