"""How far a network looks, counted from its layers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import keras
import numpy as np
from keras import layers

from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.tiling import reach
from unetflow.tiling.reach import Line, image_line

_POINTWISE = (
    layers.Activation,
    layers.BatchNormalization,
    layers.Dropout,
    layers.ELU,
    layers.GaussianNoise,
    layers.Identity,
    layers.LeakyReLU,
    layers.PReLU,
    layers.ReLU,
    layers.Rescaling,
    layers.Softmax,
    layers.SpatialDropout2D,
)
_MERGING = (
    layers.Add,
    layers.Average,
    layers.Concatenate,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.Subtract,
)
_WHOLE_WINDOW = (layers.GroupNormalization,)
"""Layers that look at the whole window, of which no field can be given; they are passed over."""


@dataclass(frozen=True)
class ReceptiveField:
    """How far a network looks along one axis.

    Attributes:
        stride: The output changes its place with the input when that moves by this many pixels.
        remainder: An input edge fits when it leaves this remainder divided by the stride.
        shrink: Pixels of the input at each side that have no output.
        before: Pixels that an output pixel looks back at most, from its own place in the input.
        after: Pixels that it looks ahead at most.
        pads: Whether output pixels at the border look beyond it, at padding.
    """

    stride: int
    remainder: int
    shrink: int
    before: int
    after: int
    pads: bool


def receptive_field(model: keras.Model, axis: int = 0) -> ReceptiveField:
    """Count from its layers how far a network looks.

    Each layer says which pixels of its input a pixel of its output looks at: so from the image on,
    the first and the last image pixel are known that a pixel of each map depends on. Group and
    instance normalisation, which look at the whole window, are passed over.

    Args:
        model: A graph of convolutions, transposed ones, poolings, enlarging, cropping and padding
            layers, those that join maps and those that act on each pixel, also of models of such
            layers. Its output has one pixel for each of the input, but for those that valid
            convolutions lose.
        axis: 0 for the height, 1 for the width.

    Raises:
        InputError: It has another layer, or an output of another size.
    """
    (line,) = _walk(model, [image_line()], axis)
    if line.scale != 1 or line.offset > 0 or line.offset % 2:
        raise InputError(
            f"network '{model.name}'",
            f"its output has {line.scale} n + {line.offset} pixels for an input of n",
            "Use a network whose output has a pixel for each one of the input",
        )
    shrink = int(-line.offset) // 2
    own = np.arange(len(line.low)) + shrink
    remainders = [r for r in range(line.stride) if line.takes(r)]
    if len(remainders) != 1:
        raise InputError(
            f"network '{model.name}'",
            f"of {line.stride} neighbouring edges it takes {len(remainders)} instead of one",
            "Use poolings and enlargements that undo each other",
        )
    return ReceptiveField(
        line.stride,
        remainders[0],
        shrink,
        before=max(0, int((own - line.low).max())),
        after=max(0, int((line.high - own).max())),
        pads=bool(line.low.min() < 0),
    )


def measure_geometry(model: keras.Model) -> Geometry:
    """Return what tiling must know of a network, from its layers; see `receptive_field`.

    Raises:
        InputError: See there.
    """
    down, across = (receptive_field(model, axis) for axis in (0, 1))
    if (down.stride, down.remainder, down.shrink) != (
        across.stride,
        across.remainder,
        across.shrink,
    ):
        raise InputError(
            f"network '{model.name}'",
            f"it halves and shrinks height and width differently ({down}, {across})",
            "Use kernels and poolings as high as wide",
        )
    farthest = max(down.before, down.after, across.before, across.after) - down.shrink
    margin = -(-farthest // down.stride) * down.stride if down.pads or across.pads else 0
    return Geometry(down.stride, down.remainder, down.shrink, margin)


def _walk(model: keras.Model, inputs: Sequence[Line], axis: int) -> list[Line]:
    """Follow a graph from its inputs to its outputs."""
    known = {id(tensor): line for tensor, line in zip(model.inputs, inputs, strict=True)}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            lines = [known[id(tensor)] for tensor in node.input_tensors]
            for tensor, line in zip(
                node.output_tensors, _pass(node.operation, lines, axis), strict=True
            ):
                known[id(tensor)] = line
    return [known[id(tensor)] for tensor in model.outputs]


def _pass(layer: Any, lines: Sequence[Line], axis: int) -> list[Line]:
    """Return the lines behind a layer.

    Raises:
        InputError: Nothing is known of the layer.
    """
    if isinstance(layer, keras.Model):
        return _walk(layer, lines, axis)
    if isinstance(layer, _MERGING):
        return [reduce(reach.join, lines)]
    for kinds, rule in _RULES:
        if isinstance(layer, kinds):
            return [rule(layer, lines[0], axis)]
    raise _unknown(layer)


def _unknown(layer: Any) -> InputError:
    return InputError(
        f"layer '{layer.name}'",
        f"nothing is known of how far a {type(layer).__name__} of this kind looks",
        "Use layers that `receptive_field` names",
    )


def _pass_transposed(layer: Any, line: Line, axis: int) -> Line:
    kernel, stride = layer.kernel_size[axis], layer.strides[axis]
    if layer.padding != "valid" or layer.dilation_rate[axis] != 1 or kernel < stride:
        raise _unknown(layer)
    return reach.spread(line, kernel, stride)


def _pass_convolution(layer: Any, line: Line, axis: int) -> Line:
    width = (layer.kernel_size[axis] - 1) * layer.dilation_rate[axis] + 1
    return reach.gather(line, width, layer.strides[axis], layer.padding)


def _pass_pooling(layer: Any, line: Line, axis: int) -> Line:
    return reach.gather(line, layer.pool_size[axis], layer.strides[axis], layer.padding)


def _pass_enlarging(layer: Any, line: Line, axis: int) -> Line:
    if layer.interpolation not in ("nearest", "bilinear"):
        raise _unknown(layer)
    return reach.enlarge(line, layer.size[axis], bilinear=layer.interpolation == "bilinear")


_RULES: tuple[tuple[Any, Callable[[Any, Line, int], Line]], ...] = (
    ((*_POINTWISE, *_WHOLE_WINDOW), lambda layer, line, axis: line),
    (layers.Conv2DTranspose, _pass_transposed),  # which is a Conv2D to Python
    ((layers.Conv2D, layers.DepthwiseConv2D), _pass_convolution),
    ((layers.MaxPooling2D, layers.AveragePooling2D), _pass_pooling),
    (layers.UpSampling2D, _pass_enlarging),
    (layers.Cropping2D, lambda layer, line, axis: reach.shift(line, *layer.cropping[axis])),
    (
        layers.ZeroPadding2D,
        lambda layer, line, axis: reach.shift(line, *(-pixels for pixels in layer.padding[axis])),
    ),
)
