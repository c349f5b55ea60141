"""Exact input images for networks in bfloat16.

Bfloat16 keeps 8 binary digits, and OpenVINO rounds all inputs of a network that it computes in
bfloat16: a 16-bit image with a bright background may lose all contrast. Here a separate model
scales the intensities in float32, and each number enters the network as two of bfloat16, the
rounded number and the remainder. The first convolution takes both as channels with the same kernel,
which adds them up again.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import openvino


def find_first_convolutions(network: "openvino.Model") -> "list[openvino.Node]":
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


def part_from_scaling(network: "openvino.Model") -> "tuple[openvino.Model, openvino.Model]":
    """Split a network before its first convolutions.

    Args:
        network: From a raw image to probabilities; it is modified and must not be used again.

    Returns:
        A model for float32, from the raw image to the inputs of the first convolutions, each with
        its channels twice, rounded and remainder; and a model from these to probabilities.
    """
    import openvino
    from openvino import opset15

    scaled, entries = [], []
    for node in find_first_convolutions(network):
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
