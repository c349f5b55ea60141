"""A drawing of a U-Net as the paper draws it."""

from itertools import pairwise

import keras
from matplotlib.figure import Figure

_BLOCK, _SKIP = "#0072b2", "#999999"


def draw_unet(unet: keras.Model, edge: int) -> Figure:
    """Draw the levels of a U-Net with their sizes and filters.

    Args:
        unet: A model that `build_unet` made.
        edge: Height and width in pixels of the input for which sizes are given.

    Returns:
        The figure.
    """
    shapes = _block_shapes(unet, edge)
    depth = sum(name.startswith("encoder") for name in shapes)
    figure = Figure(figsize=(2.2 * (2 * depth + 1), 1.3 * (depth + 2)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    places = {f"encoder_{level + 1}": (level, -level) for level in range(depth)}
    places["bottleneck"] = (depth, -depth)
    places |= {f"decoder_{level + 1}": (2 * depth - level, -level) for level in range(depth)}
    boxes = {}
    for name, (x, y) in places.items():
        height, width, filters = shapes[name]
        text = axes.text(
            x,
            y,
            f"{name.replace('_', ' ')}\n{height} x {width}\n{filters} filters",
            ha="center",
            va="center",
            color="white",
            bbox={"boxstyle": "round,pad=0.5", "facecolor": _BLOCK, "edgecolor": "none"},
        )
        boxes[x, y] = text.get_bbox_patch()
    way = [places[f"encoder_{level + 1}"] for level in range(depth)]
    way += [places["bottleneck"]]
    way += [places[f"decoder_{level + 1}"] for level in reversed(range(depth))]
    for start, end in pairwise(way):
        ends = {"patchA": boxes[start], "patchB": boxes[end], "shrinkA": 2, "shrinkB": 2}
        axes.annotate("", end, start, arrowprops={"arrowstyle": "->", **ends})
    for level in range(depth):
        axes.annotate(
            "",
            places[f"decoder_{level + 1}"],
            places[f"encoder_{level + 1}"],
            arrowprops={
                "arrowstyle": "->",
                "color": _SKIP,
                "ls": "--",
                "shrinkA": 40,
                "shrinkB": 40,
            },
        )
    axes.set_xlim(-0.7, 2 * depth + 0.7)
    axes.set_ylim(-depth - 0.6, 0.6)
    axes.set_title(
        f"{unet.name}: {unet.count_params():,} parameters, input {edge} x {edge} x "
        f"{unet.input_shape[-1]}, output {' x '.join(str(n) for n in shapes['output'])}"
    )
    return figure


def _block_shapes(unet: keras.Model, edge: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each block's output for a square input of this size."""
    layers = {layer.name: layer for layer in unet.layers}
    names = [name.removesuffix("_relu_2") for name in layers if name.endswith("_relu_2")]
    outputs = {name: layers[f"{name}_relu_2"].output for name in names}
    outputs["output"] = layers["probabilities"].output
    probe = keras.Model(unet.inputs, outputs)
    computed = probe.compute_output_spec(
        keras.KerasTensor((1, edge, edge, unet.input_shape[-1]), dtype="float32")
    )
    return {name: tuple(tensor.shape[1:]) for name, tensor in computed.items()}
