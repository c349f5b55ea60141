"""The three blocks that a U-Net is made of (arXiv 1505.04597, figure 1)."""

import math
from typing import Any

from keras import initializers, layers

Tensor = Any
"""A symbolic Keras tensor; Keras has no type of its own for it that all backends share."""

NORMALISATIONS = ("batch", "group", "instance", "none")
PADDINGS = ("same", "valid")
UP_ACTIVATIONS = ("none", "relu")

_TRUNCATED = 0.87962566103423978
"""Standard deviation of a normal distribution that is cut off at two standard deviations."""


def conv_block(
    x: Tensor,
    filters: int,
    *,
    normalisation: str = "batch",
    padding: str = "same",
    dropout: float = 0.0,
    name: str | None = None,
) -> Tensor:
    """Convolve twice with 3x3 kernels, each time followed by normalisation and ReLU.

    Args:
        x: `(batch, height, width, channels)`.
        filters: Channels of the result.
        normalisation: "batch", "group" (at most 8 groups), "instance" or "none".
        padding: "same" keeps the size, "valid" loses 4 pixels of height and of width.
        dropout: Share of the result's elements that are set to zero during training.
        name: Prefix of the layers' names.

    Returns:
        `(batch, height, width, filters)`, smaller by 4 with valid padding.
    """
    for number in (1, 2):
        x = layers.Conv2D(
            filters,
            3,
            padding=padding,
            kernel_initializer="he_normal",
            name=_join(name, f"conv_{number}"),
        )(x)
        if normalisation != "none":
            x = _normalisation(normalisation, filters, _join(name, f"norm_{number}"))(x)
        x = layers.ReLU(name=_join(name, f"relu_{number}"))(x)
    return layers.Dropout(dropout, name=_join(name, "dropout"))(x) if dropout else x


def encoder_block(
    x: Tensor, filters: int, *, name: str | None = None, **options: Any
) -> tuple[Tensor, Tensor]:
    """Apply a `conv_block`, then halve the size by 2x2 max pooling.

    Args:
        x: `(batch, height, width, channels)`.
        filters: Channels of the result.
        name: Prefix of the layers' names.
        **options: Passed on to `conv_block`.

    Returns:
        The feature map before pooling, which is the skip connection, and the one after it.
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
    """Double the size by a 2x2 transposed convolution, join the skip, apply a `conv_block`.

    Args:
        x: `(batch, height, width, channels)`, from the level below.
        skip: The encoder's feature map of this level.
        filters: Channels of the up-convolution and of the result.
        crop: Pixels to cut off each side of the skip, needed with valid padding.
        up_activation: What follows the up-convolution, "none" or "relu".
        name: Prefix of the layers' names.
        **options: Passed on to `conv_block`.

    Returns:
        `(batch, 2 height, 2 width, filters)`, smaller by 4 with valid padding.
    """
    # Each output pixel of this convolution has one incoming node for each channel, where Keras's
    # "he_normal" counts four for each filter.
    initial = initializers.TruncatedNormal(stddev=math.sqrt(2 / x.shape[-1]) / _TRUNCATED)
    x = layers.Conv2DTranspose(
        filters, 2, strides=2, kernel_initializer=initial, name=_join(name, "up")
    )(x)
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
    groups = next(g for g in range(min(8, filters), 0, -1) if filters % g == 0)
    return layers.GroupNormalization(groups=groups, name=name)


def _join(prefix: str | None, name: str) -> str | None:
    return f"{prefix}_{name}" if prefix else None
