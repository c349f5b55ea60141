"""The U-Net, built from its blocks."""

from typing import Any

import keras
from keras import layers

from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry, lost_pixels, unet_geometry
from unetflow.models.blocks import (
    NORMALISATIONS,
    PADDINGS,
    UP_ACTIVATIONS,
    Tensor,
    conv_block,
    decoder_block,
    encoder_block,
)

_HEAD = "probabilities"
_BOTTLENECK = "bottleneck_conv_1"

_POINTWISE = (
    layers.BatchNormalization,
    layers.Dropout,
    layers.GroupNormalization,
    layers.ReLU,
)
"""Layers that leave the receptive field as it is; a group's statistics are left aside."""

_SPATIAL_OPTIONS = (
    "kernel_size",
    "pool_size",
    "size",
    "strides",
    "dilation_rate",
    "padding",
    "cropping",
)


def build_unet(
    input_shape: tuple[int | None, int | None, int],
    *,
    base_filters: int = 64,
    depth: int = 4,
    classes: int = 1,
    normalisation: str = "batch",
    dropout: float = 0.0,
    padding: str = "same",
    up_activation: str = "none",
    deep_supervision: int = 0,
    name: str = "U-Net",
) -> keras.Model:
    """Build a U-Net.

    The defaults give 64, 128, 256, 512 and 1024 filters and 31,055,297 parameters at 3 channels.

    Args:
        input_shape: `(height, width, channels)`; height and width may be None for any size.
        base_filters: Filters of the first level; each level below has twice as many.
        depth: How often the size is halved.
        classes: 1 for a sigmoid head (the foreground's probability), more for a softmax head.
        normalisation: "batch", "group", "instance" or "none".
        dropout: Share of elements dropped at the end of the contracting path: after the deepest
            encoder level and after the bottleneck.
        padding: "same" gives an output of the input's size. "valid" gives a smaller one that
            needs no invented pixels, 388 for 572, with the skips cropped to the middle.
        up_activation: What follows each up-convolution, "none" or "relu".
        deep_supervision: Number of decoder levels below the first that give probabilities too,
            enlarged to the output's size, so that they can be trained directly. They follow the
            network's own along the last axis; `without_deep_supervision` takes them away.
        name: The model's name.

    Returns:
        An untrained model from `(batch, height, width, channels)` float32, scaled to about
        [0, 1], to class probabilities `(batch, height, width, classes)`; with deep supervision
        to as many more for each level.

    Raises:
        InputError: An argument is out of range, or the size does not fit the depth.

    Example:
        ```python
        build_unet((256, 256, 3)).count_params()  # 31055297
        ```
    """
    _check_counts(base_filters, depth, classes, deep_supervision)
    _check_choices(normalisation, padding, up_activation, dropout)
    _check_input_shape(input_shape, depth, padding)
    options = {"normalisation": normalisation, "padding": padding}

    # === Contracting path ===
    inputs = keras.Input(input_shape, name="image")
    x, skips = inputs, []
    for level in range(depth):
        last = dropout if level == depth - 1 else 0.0
        skip, x = encoder_block(
            x, base_filters * 2**level, name=f"encoder_{level + 1}", dropout=last, **options
        )
        skips.append(skip)
    x = conv_block(x, base_filters * 2**depth, name="bottleneck", dropout=dropout, **options)

    # === Expanding path ===
    heads = []
    for level in reversed(range(depth)):
        crop = lost_pixels(depth - level - 1) if padding == "valid" else 0
        x = decoder_block(
            x,
            skips[level],
            base_filters * 2**level,
            crop=crop,
            up_activation=up_activation,
            name=f"decoder_{level + 1}",
            **options,
        )
        if 0 < level <= deep_supervision:
            heads.append(_enlarge(_head(x, classes, f"probabilities_{level + 1}"), level, padding))

    # === Head ===
    outputs = _head(x, classes, _HEAD)
    if heads:
        outputs = layers.Concatenate(name="all_probabilities")([outputs, *reversed(heads)])
    return keras.Model(inputs, outputs, name=name)


def without_deep_supervision(unet: keras.Model) -> keras.Model:
    """Return the network alone, with the same weights, as it is used once it is trained."""
    head = unet.get_layer(_HEAD).output
    return unet if unet.output is head else keras.Model(unet.input, head, name=unet.name)


def count_outputs(unet: keras.Model) -> int:
    """Return how many outputs stand behind each other, the network's own and further ones."""
    return int(unet.output_shape[-1] // unet.get_layer(_HEAD).filters)


def geometry_of(unet: keras.Model) -> Geometry:
    """Return the geometry of a network that `build_unet` made, also after saving and loading.

    Depth and padding follow from the layers' names and options. The formula behind the geometry
    holds for this architecture alone, so a network with any other layer is refused.

    Args:
        unet: The network, with or without deep supervision, without preprocessing.

    Raises:
        InputError: `build_unet` does not make this network.
    """
    names = [layer.name for layer in unet.layers]
    depth = sum(name.endswith("_pool") for name in names)
    padding = unet.get_layer(_BOTTLENECK).padding if depth and _BOTTLENECK in names else None
    if padding is not None:
        supervised = sum(name.startswith(f"{_HEAD}_") for name in names)
        twin = build_unet(
            (None, None, 1),
            base_filters=1,
            depth=depth,
            padding=padding,
            deep_supervision=supervised,
        )
        if _spatial_options(unet) == _spatial_options(twin):
            return unet_geometry(depth, padding)
    raise InputError(
        f"network '{unet.name}'",
        "its receptive field is unknown, since `build_unet` did not make it",
        "Build the network with `build_unet`",
    )


def _spatial_options(unet: keras.Model) -> dict[str, dict[str, Any]]:
    """Return kernel, stride, padding and the like of each layer that is not pointwise, by name."""
    configs = (x.get_config() for x in unet.layers if not isinstance(x, _POINTWISE))
    return {
        config["name"]: {option: config.get(option) for option in _SPATIAL_OPTIONS}
        for config in configs
    }


def _head(x: Tensor, classes: int, name: str) -> Tensor:
    return layers.Conv2D(
        classes,
        1,
        activation="sigmoid" if classes == 1 else "softmax",
        kernel_initializer="he_normal",
        dtype="float32",
        name=name,
    )(x)


def _enlarge(probabilities: Tensor, level: int, padding: str) -> Tensor:
    """Bring the probabilities of a decoder level to the size of the network's output."""
    name = f"enlarge_{level + 1}"
    x = layers.UpSampling2D(2**level, interpolation="bilinear", name=name)(probabilities)
    # Each valid `conv_block` above would have cut 2 pixels of its level off each side.
    crop = 2 * (2**level - 1) if padding == "valid" else 0
    return layers.Cropping2D(crop, name=f"cut_{level + 1}")(x) if crop else x


def _check_counts(base_filters: int, depth: int, classes: int, deep_supervision: int) -> None:
    for name, value, least in (
        ("base_filters", base_filters, 1),
        ("depth", depth, 1),
        ("classes", classes, 1),
        ("deep_supervision", deep_supervision, 0),
    ):
        if value < least:
            raise InputError(name, f"{value} is too small", f"Use {least} or more")
    if deep_supervision >= depth:
        raise InputError(
            "deep_supervision",
            f"a U-Net of depth {depth} has {depth - 1} decoder levels below the first, "
            f"not {deep_supervision}",
            f"Use at most {depth - 1}",
        )


def _check_choices(normalisation: str, padding: str, up_activation: str, dropout: float) -> None:
    for name, choice, choices in (
        ("normalisation", normalisation, NORMALISATIONS),
        ("padding", padding, PADDINGS),
        ("up_activation", up_activation, UP_ACTIVATIONS),
    ):
        if choice not in choices:
            raise InputError(name, f"'{choice}' is unknown", f"Use one of {', '.join(choices)}")
    if not 0 <= dropout < 1:
        raise InputError("dropout", f"{dropout} is no share", "Use at least 0 and less than 1")


def _check_input_shape(
    input_shape: tuple[int | None, int | None, int], depth: int, padding: str
) -> None:
    geometry = unet_geometry(depth, padding)
    for axis, edge in zip(("height", "width"), input_shape[:2], strict=True):
        if edge is not None and not geometry.fits(edge):
            raise InputError(
                f"{axis} {edge}",
                f"a U-Net of depth {depth} with {padding} padding cannot halve it {depth} times",
                f"The nearest sizes that it can are {geometry.nearest(edge)}",
            )
