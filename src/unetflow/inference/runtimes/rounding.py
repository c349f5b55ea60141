"""Kernels in bfloat16 whose rounding errors cancel each other.

Bfloat16 keeps 8 binary digits. The weights of one output are multiplied by neighbouring pixels,
which are similar, so errors of one sign would add up. Here each weight is rounded together with the
remaining error of the weights before it (error diffusion, as in Floyd and Steinberg, 1976); then
the error of their sum is that of the last rounding alone.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import openvino


def round_kernels(network: "openvino.Model") -> None:
    """Round the kernels of all convolutions in place.

    Scaling after a convolution, such as that of batch normalisation, is multiplied into its kernel
    first, as OpenVINO does when it compiles the network; in Python only a private module offers
    that step.
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
    """Round numbers to bfloat16, nearly preserving the sums along the last axis.

    Args:
        rows: `(..., numbers)`, finite.

    Returns:
        The same shape, with values that bfloat16 represents.
    """
    numbers = np.ascontiguousarray(np.moveaxis(rows, -1, 0))  # contiguous in each step
    rounded = np.empty_like(numbers)
    left_over = np.zeros(rows.shape[:-1], np.float32)
    for place, exact in enumerate(numbers):
        wanted = exact + left_over
        rounded[place] = round_to_bfloat16(wanted)
        left_over = wanted - rounded[place]
    return np.ascontiguousarray(np.moveaxis(rounded, 0, -1))


def round_to_bfloat16(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to the nearest numbers of bfloat16, ties to even.

    Bfloat16 is the upper half of float32's bits.
    """
    bits = np.asarray(numbers, np.float32).view(np.uint32)
    half = np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return ((bits + half) & np.uint32(0xFFFF0000)).view(np.float32)
