"""OpenVINO networks in bfloat16 and in int8.

Bfloat16 keeps 8 binary digits of a number. The weights of one output are multiplied by neighbouring
pixels, which are similar, so errors of one sign would add up: each weight is rounded together with
the remaining error of the weights before it (error diffusion, as in Floyd and Steinberg, 1976).
Then the error of their sum is that of the last rounding alone.

OpenVINO also rounds the inputs of such a network, and a 16-bit image with a bright background may
lose all contrast: so a separate model scales the intensities in float32, and each number enters the
network as two of bfloat16, the rounded number and the remainder. The first convolution takes both
as channels with the same kernel, which adds them up again.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.core.types import Probabilities
from unetflow.inference.runtimes.runtime import Parts
from unetflow.tiling.windows import predict_tiled

if TYPE_CHECKING:
    import openvino

_MOST_WINDOWS = 300
"""More windows do not change the ranges that `quantise` measures, and each takes a prediction."""


def round_kernels(network: "openvino.Model") -> None:
    """Round the kernels of all convolutions to bfloat16 in place.

    Scaling after a convolution, such as that of batch normalisation, is multiplied into its kernel
    first, as OpenVINO does when it compiles; in Python only a private module offers that.
    """
    from openvino import opset8
    from openvino._offline_transformations import apply_moc_transformations

    apply_moc_transformations(network, cf=False)
    for node in network.get_ordered_ops():
        kind = node.get_type_name()
        if kind not in ("Convolution", "ConvolutionBackpropData"):
            continue
        constant = node.input_value(1).get_node()
        if constant.get_type_name() != "Constant":  # it is in int8
            continue
        rounded = _round_kernel(constant.get_data(), transposed=kind != "Convolution")
        node.input(1).replace_source_output(opset8.constant(rounded).output(0))


def _round_kernel(kernel: NDArray[np.float32], *, transposed: bool) -> NDArray[np.float32]:
    """Round a kernel `(outputs, inputs, height, width)`, or `(inputs, outputs, ...)` transposed."""
    if transposed:  # strides equal the kernel: a pixel gets one weight of each input
        rounded = spread_rounding(np.moveaxis(kernel, 0, -1))
        return np.ascontiguousarray(np.moveaxis(rounded, -1, 0))
    return spread_rounding(kernel.reshape(len(kernel), -1)).reshape(kernel.shape)


def spread_rounding(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round finite numbers `(..., numbers)` to bfloat16, nearly preserving sums of each row."""
    numbers = np.ascontiguousarray(np.moveaxis(rows, -1, 0))  # contiguous in each step
    rounded = np.empty_like(numbers)
    left_over = np.zeros(rows.shape[:-1], np.float32)
    for place, exact in enumerate(numbers):
        wanted = exact + left_over
        rounded[place] = round_to_bfloat16(wanted)
        left_over = wanted - rounded[place]
    return np.ascontiguousarray(np.moveaxis(rounded, 0, -1))


def round_to_bfloat16(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to the nearest numbers of bfloat16, the upper half of float32's bits; ties to even."""
    bits = np.asarray(numbers, np.float32).view(np.uint32)
    half = np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return ((bits + half) & np.uint32(0xFFFF0000)).view(np.float32)


def part_from_scaling(network: "openvino.Model") -> "tuple[openvino.Model, openvino.Model]":
    """Split a network before its first convolutions; it must not be used again.

    Returns:
        A model for float32, from the raw image to the inputs of the first convolutions, each with
        its channels twice, rounded and remainder; and a model from these to probabilities.
    """
    import openvino
    from openvino import opset15

    scaled, entries = [], []
    for node in _find_first_convolutions(network):
        source, kernel = node.input_value(0), node.input_value(1)
        rounded = opset15.convert(opset15.convert(source, "bf16"), "f32")
        missing = opset15.subtract(source, rounded)
        both = opset15.concat([rounded, missing], 1)
        scaled.append(opset15.result(both))
        entry = opset15.parameter(both.get_output_partial_shape(0), np.float32)
        entries.append(entry)
        node.input(0).replace_source_output(entry.output(0))
        twice = opset15.concat([kernel, kernel], 1)
        node.input(1).replace_source_output(twice.output(0))
    head = openvino.Model(scaled, network.get_parameters())
    return head, openvino.Model(network.get_results(), entries)


def _find_first_convolutions(network: "openvino.Model") -> "list[openvino.Node]":
    """Return the convolutions of the input image: of an ensemble, one of each network."""
    found: dict[str, openvino.Node] = {}
    seen: set[str] = set()
    left = list(network.get_parameters())
    while left:
        for output in left.pop().outputs():
            for target in output.get_target_inputs():
                node = target.get_node()
                name = node.get_friendly_name()
                if node.get_type_name() == "Convolution":
                    found[name] = node
                elif name not in seen:
                    seen.add(name)
                    left.append(node)
    return [found[name] for name in sorted(found)]


def quantise(
    parts: Parts, images: Iterable[NDArray[np.generic]], geometry: Geometry, tile: int
) -> Parts:
    """Quantise all convolutions but the first to int8 with NNCF's post-training quantisation.

    The network predicts windows of the images, which measures the ranges of its activations. The
    first convolution stays in float32: it has few channels and so takes little time, but an image
    in 256 steps caused most of the loss of Dice on DRIVE and DeepCrack. The ranges may be
    asymmetric, which suits transposed convolutions (NNCF's preset `MIXED`).

    Args:
        parts: The files of `convert_to_openvino`.
        images: `(height, width, channels)` with raw intensities; a few typical ones are enough.
        geometry: Of the network.
        tile: Longest edge of a window in pixels in predictions.

    Raises:
        InputError: NNCF is not installed, or there are no images.
    """
    windows = _windows_of(images, geometry, tile)
    if not windows:
        raise InputError("calibration", "there are no images", "Give a few typical ones")
    os.environ.setdefault("NNCF_CI", "1")  # else each use is reported to Intel
    try:
        import nncf
    except ImportError as error:
        raise InputError(
            "calibration",
            f"NNCF is not installed ({error})",
            "Install it with `pip install 'unetflow[quantise]'`, or give no images",
        ) from error
    import openvino

    network = openvino.Core().read_model(parts["network.xml"], parts["network.bin"])
    first = _find_first_convolutions(network)
    quantised = nncf.quantize(
        network,
        nncf.Dataset(windows),
        subset_size=len(windows),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=[node.get_friendly_name() for node in first]),
    )
    return store_network(quantised)


def store_network(network: "openvino.Model") -> Parts:
    """Return the two files of a network in OpenVINO's format, with weights as they are."""
    import openvino

    with TemporaryDirectory() as folder:
        written = Path(folder, "network.xml")
        openvino.save_model(network, written, compress_to_fp16=False)
        return {path.name: path.read_bytes() for path in (written, written.with_suffix(".bin"))}


def _windows_of(
    images: Iterable[NDArray[np.generic]], geometry: Geometry, tile: int
) -> list[NDArray[np.float32]]:
    """Return the windows of tiled predictions of the images, one in a batch."""
    windows: list[NDArray[np.float32]] = []

    def note(batch: NDArray[np.generic]) -> Probabilities:
        windows.append(batch.astype(np.float32))
        height, width = (edge - 2 * geometry.shrink for edge in batch.shape[1:3])
        return np.zeros((len(batch), height, width, 1), np.float32)

    for image in images:
        predict_tiled(note, image, geometry, tile)
        if len(windows) >= _MOST_WINDOWS:
            break
    return windows[:_MOST_WINDOWS]
