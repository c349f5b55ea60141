"""The U-Net, built from its blocks."""

import keras
from keras import layers

from unetflow.imaging.errors import InputError
from unetflow.imaging.tiling import Geometry, lost_pixels, unet_geometry
from unetflow.unet.blocks import (
    NORMALISATIONS,
    PADDINGS,
    conv_block,
    decoder_block,
    encoder_block,
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
        name: The model's name.

    Returns:
        An untrained model from `(batch, height, width, channels)` float32, scaled to about
        [0, 1], to class probabilities `(batch, height, width, classes)`.

    Raises:
        InputError: An argument is out of range, or the size does not fit the depth.

    Example:
        ```python
        build_unet((256, 256, 3)).count_params()  # 31055297
        ```
    """
    _check_arguments(base_filters, depth, classes, normalisation, dropout, padding)
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
    for level in reversed(range(depth)):
        crop = lost_pixels(depth - level - 1) if padding == "valid" else 0
        x = decoder_block(
            x,
            skips[level],
            base_filters * 2**level,
            crop=crop,
            name=f"decoder_{level + 1}",
            **options,
        )

    # === Head ===
    outputs = layers.Conv2D(
        classes,
        1,
        activation="sigmoid" if classes == 1 else "softmax",
        dtype="float32",
        name="probabilities",
    )(x)
    return keras.Model(inputs, outputs, name=name)


def geometry_of(unet: keras.Model) -> Geometry:
    """Return what tiling must know of a U-Net that `build_unet` made."""
    depth = sum(isinstance(layer, layers.MaxPooling2D) for layer in unet.layers)
    convolutions = (layer for layer in unet.layers if isinstance(layer, layers.Conv2D))
    return unet_geometry(depth, next(convolutions).padding)


def _check_arguments(
    base_filters: int, depth: int, classes: int, normalisation: str, dropout: float, padding: str
) -> None:
    for name, value, least in (
        ("base_filters", base_filters, 1),
        ("depth", depth, 1),
        ("classes", classes, 1),
    ):
        if value < least:
            raise InputError(name, f"{value} is too small", f"Use {least} or more")
    for name, choice, choices in (
        ("normalisation", normalisation, NORMALISATIONS),
        ("padding", padding, PADDINGS),
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
