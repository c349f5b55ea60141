"""A diagram of a U-Net in the paper's form."""

from itertools import pairwise

import keras
from matplotlib.figure import Figure

_BLOCK, _SKIP = "#0072b2", "#999999"


def draw_unet(unet: keras.Model, edge: int) -> Figure:
    """Draw the blocks of a U-Net, with their filters and their sizes for a square input.

    `edge` is the height and width of the input in pixels.

    Example:
        ```python
        unet = build_unet((None, None, 3), base_filters=16)
        draw_unet(unet, edge=256).savefig("unet.png")
        ```
    """
    shapes = _output_shapes(unet, edge)
    depth = sum(name.startswith("encoder") for name in shapes)
    figure = Figure(figsize=(2.2 * (2 * depth + 1), 1.3 * (depth + 2)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    path = [f"encoder_{level}" for level in range(1, depth + 1)]
    path += ["bottleneck", *(f"decoder_{level}" for level in range(depth, 0, -1))]
    places = {name: (x, abs(x - depth) - depth) for x, name in enumerate(path)}
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
        boxes[name] = text.get_bbox_patch()
    for start, end in pairwise(path):
        ends = {"patchA": boxes[start], "patchB": boxes[end], "shrinkA": 2, "shrinkB": 2}
        axes.annotate("", places[end], places[start], arrowprops={"arrowstyle": "->", **ends})
    dashed = {"arrowstyle": "->", "color": _SKIP, "ls": "--", "shrinkA": 40, "shrinkB": 40}
    for encoder, decoder in zip(path[:depth], reversed(path), strict=False):
        axes.annotate("", places[decoder], places[encoder], arrowprops=dashed)
    axes.set_xlim(-0.7, 2 * depth + 0.7)
    axes.set_ylim(-depth - 0.6, 0.6)
    axes.set_title(
        f"{unet.name}: {unet.count_params():,} parameters, input {edge} x {edge} x "
        f"{unet.input_shape[-1]}, output {' x '.join(str(n) for n in shapes['output'])}"
    )
    return figure


def _output_shapes(unet: keras.Model, edge: int) -> dict[str, tuple[int, ...]]:
    """Return `(height, width, channels)` behind each block and as `output`, for a square input."""
    blocks = [x.name.removesuffix("_relu_2") for x in unet.layers if x.name.endswith("_relu_2")]
    outputs = {name: unet.get_layer(f"{name}_relu_2").output for name in blocks}
    outputs["output"] = unet.get_layer("probabilities").output
    image = keras.KerasTensor((1, edge, edge, unet.input_shape[-1]), dtype="float32")
    computed = keras.Model(unet.inputs, outputs).compute_output_spec(image)
    return {name: tuple(tensor.shape[1:]) for name, tensor in computed.items()}
