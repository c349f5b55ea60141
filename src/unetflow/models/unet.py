"""The U-Net, built from its blocks; what follows from it, and the networks made from it."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
from keras import layers

from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry, lost_pixels, unet_geometry
from unetflow.core.types import OBJECT_OUTPUTS, ObjectOutput
from unetflow.data.intensity import IntensityRange
from unetflow.models.blocks import Tensor, conv_block, decoder_block, encoder_block

_HEAD = "probabilities"

_POINTWISE = (layers.BatchNormalization, layers.Dropout, layers.GroupNormalization, layers.ReLU)
"""Layers without an effect on the geometry; the statistics of groups are disregarded."""

_SPATIAL = ("kernel_size", "pool_size", "size", "strides", "dilation_rate", "padding", "cropping")


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
    instances: str = "none",
    name: str = "U-Net",
) -> keras.Model:
    """Build a U-Net; the defaults give 31,055,297 parameters for 3 channels.

    Args:
        input_shape: `(height, width, channels)`; height and width may be None for any size.
        base_filters: Filters of the first level; each level below has twice as many.
        depth: Number of poolings.
        classes: 1 for a sigmoid head (probability of the foreground), more for a softmax head.
        normalisation: "batch", "group", "instance" or "none".
        dropout: Fraction dropped after the deepest encoder level and after the bottleneck.
        padding: "same" keeps the size; "valid" invents no pixels and gives 388 for 572.
        up_activation: Activation of the up-convolutions, "none" or "relu".
        deep_supervision: Number of decoder levels below the first with a head of their own, whose
            enlarged probabilities follow the network's own (see `without_deep_supervision`).
        instances: Further outputs that separate touching objects, each one channel after all
            others: "none", "boundary", "distance" or "both"; see `core.types.OBJECT_OUTPUTS`.
        name: The model's name.

    Returns:
        An untrained model from `(batch, height, width, channels)` float32, scaled to about
        [0, 1], to probabilities `(batch, height, width, (1 + deep_supervision) classes)`, followed
        by the outputs of `instances`.

    Raises:
        InputError: An argument is out of range, or the size does not fit the depth.
    """
    _check_numbers(base_filters, depth, classes, deep_supervision, dropout)
    _check_choices(normalisation, padding, up_activation, instances)
    _check_input_shape(input_shape, depth, padding)
    options = {"normalisation": normalisation, "padding": padding}
    filters = [base_filters * 2**level for level in range(depth + 1)]
    inputs = keras.Input(input_shape, name="image")
    bottom, skips = _contract(inputs, filters, dropout, options)
    heads: list[Tensor] = []
    for level, x in _expand(bottom, skips, filters, up_activation, options):
        if level <= deep_supervision:
            heads.insert(0, _add_head(x, classes, level, padding))
    heads += [_add_output(x, output, 1, "sigmoid") for output in OBJECT_OUTPUTS[instances]]
    return keras.Model(inputs, _combine(heads), name=name)


def _contract(
    x: Tensor, filters: Sequence[int], dropout: float, options: dict[str, str]
) -> tuple[Tensor, list[Tensor]]:
    """Return the feature map of the bottleneck and the skip connections, the first level first."""
    skips = []
    depth = len(filters) - 1
    for level in range(depth):
        last = dropout if level == depth - 1 else 0.0
        name = f"encoder_{level + 1}"
        skip, x = encoder_block(x, filters[level], name=name, dropout=last, **options)
        skips.append(skip)
    return conv_block(x, filters[-1], name="bottleneck", dropout=dropout, **options), skips


def _expand(
    x: Tensor,
    skips: Sequence[Tensor],
    filters: Sequence[int],
    up_activation: str,
    options: dict[str, str],
) -> Iterator[tuple[int, Tensor]]:
    """Yield level and feature map of each decoder level as soon as it is built, the last first."""
    for level in reversed(range(len(skips))):
        crop = lost_pixels(len(skips) - level - 1) if options["padding"] == "valid" else 0
        x = decoder_block(
            x,
            skips[level],
            filters[level],
            crop=crop,
            up_activation=up_activation,
            name=f"decoder_{level + 1}",
            **options,
        )
        yield level, x


def _add_head(x: Tensor, classes: int, level: int, padding: str) -> Tensor:
    """Return the probabilities of a decoder level, enlarged to the size of the output."""
    activation = "sigmoid" if classes == 1 else "softmax"
    x = _add_output(x, f"{_HEAD}_{level + 1}" if level else _HEAD, classes, activation)
    if not level:
        return x
    x = layers.UpSampling2D(2**level, interpolation="bilinear", name=f"enlarge_{level + 1}")(x)
    # Each valid `conv_block` above would have removed 2 pixels of its level at each side.
    crop = 2 * (2**level - 1) if padding == "valid" else 0
    return layers.Cropping2D(crop, name=f"cut_{level + 1}")(x) if crop else x


def _add_output(x: Tensor, name: str, channels: int, activation: str) -> Tensor:
    return layers.Conv2D(
        channels,
        1,
        activation=activation,
        kernel_initializer="he_normal",
        dtype="float32",
        name=name,
    )(x)


def _combine(outputs: Sequence[Tensor]) -> Tensor:
    if len(outputs) == 1:
        return outputs[0]
    return layers.Concatenate(name=f"all_{_HEAD}")(outputs)


def without_deep_supervision(unet: keras.Model) -> keras.Model:
    """Return the network without the heads of lower levels, which shares the weights.

    Example:
        ```python
        unet = build_unet((64, 64, 1), base_filters=16, deep_supervision=2)
        without_deep_supervision(unet).output_shape  # (None, 64, 64, 1)
        ```
    """
    if count_heads(unet) == 1:
        return unet
    outputs = [unet.get_layer(name).output for name in (_HEAD, *list_object_outputs(unet))]
    return keras.Model(unet.input, _combine(outputs), name=unet.name)


def with_preprocessing(unet: keras.Model, intensity: IntensityRange) -> keras.Model:
    """Return a model that scales raw intensities, then computes a copy of a network.

    The scaling is that of `data.intensity.normalise`. The model consists of Keras's own layers and
    has neither loss nor optimiser, so that plain Keras loads it.

    Args:
        unet: A network for images in [0, 1], whose weights are copied.
        intensity: The intensities that become 0 and 1, per channel.

    Example:
        ```python
        unet = build_unet((None, None, 1), base_filters=16)
        with_preprocessing(unet, IntensityRange([0.0], [255.0]))
        ```
    """
    low = np.asarray(intensity.low, np.float64)
    scale = 1 / (np.asarray(intensity.high, np.float64) - low)
    inputs = keras.Input(unet.input_shape[1:], name="raw_image")
    # Subtracting first keeps the last digits of large intensities.
    x = layers.Rescaling(1.0, (-low).tolist(), name="subtract")(inputs)
    x = layers.Rescaling(scale.tolist(), name="scale")(x)
    x = layers.ReLU(max_value=1.0, name="clip")(x)
    copy = keras.Model.from_config(unet.get_config())  # `clone_model` would keep the loss
    copy.set_weights(unet.get_weights())
    return keras.Model(inputs, copy(x), name="segmenter")


def count_heads(unet: keras.Model) -> int:
    """Return the number of heads with probabilities, those of lower levels included."""
    names: list[str] = [layer.name for layer in unet.layers]
    return 1 + sum(name.startswith(f"{_HEAD}_") for name in names)


def list_object_outputs(unet: keras.Model) -> tuple[ObjectOutput, ...]:
    """Return the names of the outputs for objects; see `core.types.OBJECT_OUTPUTS`."""
    names = {layer.name for layer in unet.layers}
    return tuple(name for name in OBJECT_OUTPUTS["both"] if name in names)


def name_instances(unet: keras.Model) -> str:
    """Return the argument `instances` with which `build_unet` has made a network."""
    own = list_object_outputs(unet)
    return next(name for name, outputs in OBJECT_OUTPUTS.items() if outputs == own)


def geometry_of(unet: keras.Model) -> Geometry:
    """Return the geometry of a network made by `build_unet`, also after saving and loading.

    Depth and padding follow from the layers' names and options. The formula of the geometry holds
    for this architecture alone, so a network with other spatial layers is refused.

    Raises:
        InputError: The network was not made by `build_unet`, or has preprocessing in front.
    """
    names = [layer.name for layer in unet.layers]
    depth = sum(name.endswith("_pool") for name in names)
    if depth and "bottleneck_conv_1" in names:
        padding = unet.get_layer("bottleneck_conv_1").padding
        own = _options_of_twin(depth, padding, count_heads(unet) - 1, name_instances(unet))
        if _spatial_options(unet) == own:
            return unet_geometry(depth, padding)
    raise InputError(
        f"network '{unet.name}'",
        "its receptive field is unknown, since `build_unet` did not make it",
        "Build the network with `build_unet`",
    )


@cache
def _options_of_twin(
    depth: int, padding: str, deep_supervision: int, instances: str
) -> dict[str, dict[str, Any]]:
    """Return the `_spatial_options` of a network that `build_unet` makes.

    It is built, which takes tenths of a second, once for all networks of one form.
    """
    return _spatial_options(
        build_unet(
            (None, None, 1),
            base_filters=1,
            depth=depth,
            padding=padding,
            deep_supervision=deep_supervision,
            instances=instances,
        )
    )


def _spatial_options(unet: keras.Model) -> dict[str, dict[str, Any]]:
    """Return kernel, stride, padding and the like of each layer that is not pointwise, by name."""
    configs = (x.get_config() for x in unet.layers if not isinstance(x, _POINTWISE))
    return {c["name"]: {key: c[key] for key in _SPATIAL if key in c} for c in configs}


def _check_numbers(
    base_filters: int, depth: int, classes: int, deep_supervision: int, dropout: float
) -> None:
    for name, value in {"base_filters": base_filters, "depth": depth, "classes": classes}.items():
        if value < 1:
            raise InputError(name, f"{value} is too small", "Use 1 or more")
    if not 0 <= deep_supervision < depth:
        raise InputError(
            "deep_supervision",
            f"a U-Net of depth {depth} has {depth - 1} decoder levels below the first, "
            f"not {deep_supervision}",
            f"Use 0 to {depth - 1}",
        )
    if not 0 <= dropout < 1:
        raise InputError("dropout", f"{dropout} is not a fraction", "Use 0 or more, less than 1")


def _check_choices(normalisation: str, padding: str, up_activation: str, instances: str) -> None:
    for name, choice, choices in (
        ("normalisation", normalisation, ("batch", "group", "instance", "none")),
        ("padding", padding, ("same", "valid")),
        ("up_activation", up_activation, ("none", "relu")),
        ("instances", instances, tuple(OBJECT_OUTPUTS)),
    ):
        if choice not in choices:
            raise InputError(name, f"'{choice}' is unknown", f"Use one of {', '.join(choices)}")


def _check_input_shape(
    input_shape: tuple[int | None, int | None, int], depth: int, padding: str
) -> None:
    geometry = unet_geometry(depth, padding)
    for axis, edge in zip(("height", "width"), input_shape[:2], strict=True):
        if edge is not None and not geometry.fits(edge):
            raise InputError(
                f"{axis} {edge}",
                f"a U-Net of depth {depth} with {padding} padding cannot halve it {depth} times",
                f"The nearest sizes that fit are {geometry.nearest(edge)}",
            )
