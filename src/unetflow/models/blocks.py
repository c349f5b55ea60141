"""The three blocks of a U-Net (arXiv 1505.04597, figure 1)."""

import math
from typing import Any

from keras import initializers, layers

Tensor = Any
"""A symbolic Keras tensor; Keras has no type for it that all backends share."""

_MAX_GROUPS = 8

_TRUNCATED_STDDEV = 0.87962566103423978
"""Standard deviation of a standard normal distribution truncated at two standard deviations."""


def conv_block(
    x: Tensor,
    filters: int,
    *,
    normalisation: str = "batch",
    padding: str = "same",
    dropout: float = 0.0,
    name: str | None = None,
) -> Tensor:
    """Apply two 3x3 convolutions, each followed by normalisation and ReLU.

    Args:
        x: `(batch, height, width, channels)`.
        filters: Channels of the result.
        normalisation: "batch", "group" (at most 8 groups), "instance" or "none".
        padding: "same" keeps the size, "valid" removes 4 pixels of height and of width.
        dropout: Fraction of the result's elements that are set to zero in training.
        name: Prefix of the layers' names.

    Example:
        ```python
        conv_block(keras.Input((64, 64, 3)), 16).shape  # (None, 64, 64, 16)
        ```
    """
    for number in (1, 2):
        options = {"padding": padding, "kernel_initializer": "he_normal"}
        x = layers.Conv2D(filters, 3, name=_join(name, f"conv_{number}"), **options)(x)
        if normalisation != "none":
            x = _normalisation(normalisation, filters, _join(name, f"norm_{number}"))(x)
        x = layers.ReLU(name=_join(name, f"relu_{number}"))(x)
    return layers.Dropout(dropout, name=_join(name, "dropout"))(x) if dropout else x


def encoder_block(
    x: Tensor, filters: int, *, name: str | None = None, **options: Any
) -> tuple[Tensor, Tensor]:
    """Apply a `conv_block`, whose arguments these are, then 2x2 max pooling.

    Returns:
        The feature map before pooling, which is the skip connection, and the one after.

    Example:
        ```python
        skip, pooled = encoder_block(keras.Input((64, 64, 3)), 16)
        skip.shape, pooled.shape  # (None, 64, 64, 16), (None, 32, 32, 16)
        ```
    """
    skip = conv_block(x, filters, name=name, **options)
    return skip, layers.MaxPooling2D(2, name=_join(name, "pool"))(skip)


def decoder_block(
    x: Tensor,
    skip: Tensor,
    filters: int,
    *,
    crop: int = 0,
    up_activation: str = "none",
    name: str | None = None,
    **options: Any,
) -> Tensor:
    """Apply a 2x2 transposed convolution, concatenate the skip connection, apply a `conv_block`.

    Args:
        x: `(batch, height, width, channels)`, from the level below.
        skip: The encoder's feature map of this level, `(batch, 2 height, 2 width, filters)`.
        filters: Channels of the up-convolution and of the result.
        crop: Pixels to remove at each side of the skip connection, for valid padding.
        up_activation: Activation of the up-convolution, "none" or "relu".
        name: Prefix of the layers' names.
        **options: Further arguments of `conv_block`.

    Example:
        ```python
        below, skip = keras.Input((32, 32, 32)), keras.Input((64, 64, 16))
        decoder_block(below, skip, 16).shape  # (None, 64, 64, 16)
        ```
    """
    # An output pixel of this convolution has one incoming node per channel, where Keras's
    # "he_normal" counts four per filter.
    initial = initializers.TruncatedNormal(stddev=math.sqrt(2 / x.shape[-1]) / _TRUNCATED_STDDEV)
    up = _join(name, "up")
    x = layers.Conv2DTranspose(filters, 2, strides=2, kernel_initializer=initial, name=up)(x)
    if up_activation == "relu":
        x = layers.ReLU(name=_join(name, "up_relu"))(x)
    if crop:
        skip = layers.Cropping2D(crop, name=_join(name, "crop"))(skip)
    x = layers.Concatenate(name=_join(name, "concat"))([x, skip])
    return conv_block(x, filters, name=name, **options)


def _normalisation(kind: str, filters: int, name: str | None) -> layers.Layer:
    if kind == "batch":
        return layers.BatchNormalization(name=name)
    if kind == "instance":
        return layers.GroupNormalization(groups=-1, name=name)
    groups = next(g for g in range(min(_MAX_GROUPS, filters), 0, -1) if filters % g == 0)
    return layers.GroupNormalization(groups=groups, name=name)


def _join(prefix: str | None, name: str) -> str | None:
    return f"{prefix}_{name}" if prefix else None
