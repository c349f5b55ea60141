"""The runtime of OpenVINO, which also computes in bfloat16 and int8."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.parallel import count_cores
from unetflow.core.types import Probabilities
from unetflow.inference.runtimes.openvino_precision import (
    part_from_scaling,
    round_kernels,
    store_network,
)
from unetflow.inference.runtimes.runtime import ConvertedRuntime, Identity, Parts

if TYPE_CHECKING:
    import keras
    import openvino


def convert_to_openvino(model: "keras.Model") -> Parts:
    """Convert a Keras model into the two files of OpenVINO's format, with weights in float32."""
    import openvino

    with TemporaryDirectory() as folder:
        saved = Path(folder, "saved_model")
        model.export(saved, format="tf_saved_model", verbose=False, input_signature=model.inputs)
        # Unlike `openvino.convert_model`, this reports nothing to Intel.
        network = openvino.Core().read_model(saved)
        _leave_sizes_to_strides(network)
        return store_network(network)


def _leave_sizes_to_strides(network: "openvino.Model") -> None:
    """Remove the computed output size from transposed convolutions that do not need it.

    TensorFlow's format has the size of each output as an input, with which OpenVINO cannot run them
    in int8. Where kernels do not overlap, the size is that of the input times the stride.
    """
    from openvino import opset15

    for node in network.get_ordered_ops():
        if node.get_type_name() != "ConvolutionBackpropData" or node.get_input_size() < 3:
            continue
        options = node.get_attributes()
        kernel = node.input(1).get_shape()[2:]
        if list(kernel) != list(options["strides"]) or any(options["output_padding"]):
            continue
        kept = {name: options[name] for name in ("strides", "pads_begin", "pads_end", "dilations")}
        inputs = node.input_value(0), node.input_value(1)
        plain = opset15.convolution_backprop_data(*inputs, **kept)
        plain.set_friendly_name(node.get_friendly_name())
        node.output(0).replace(plain.output(0))


class OpenVinoRuntime(ConvertedRuntime):
    """A network of `convert_to_openvino` that OpenVINO computes on the CPU.

    Raises:
        InputError: The network cannot be read, or this processor does not support bfloat16.
    """

    name = "openvino"

    def __init__(
        self, parts: Parts, precision: str = "float32", identity: Identity | None = None
    ) -> None:
        import openvino

        super().__init__(parts, identity)
        self.precision = precision
        core = openvino.Core()
        if precision == "bfloat16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise InputError("precision", "this processor does not support bfloat16", "Use float32")
        # By default OpenVINO takes bfloat16 wherever it is faster.
        hint = openvino.Type.bf16 if precision == "bfloat16" else openvino.Type.f32
        options = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": count_cores(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            network = core.read_model(parts["network.xml"], parts["network.bin"])
            self.outputs = network.output(0).partial_shape[-1].get_length()
            self._scale = None
            if precision == "bfloat16":
                round_kernels(network)
                scaling, network = part_from_scaling(network)
                exactly = options | {"INFERENCE_PRECISION_HINT": openvino.Type.f32}
                self._scale = core.compile_model(scaling, "CPU", exactly)
            self._compiled = core.compile_model(network, "CPU", options)
        except RuntimeError as error:
            raise InputError(
                "network.xml", f"OpenVINO cannot read it ({error})", "Export the segmenter again"
            ) from error

    def __call__(self, windows: NDArray[np.generic]) -> Probabilities:
        """Predict raw images; see `Runtime`."""
        entries: Any = windows.astype(np.float32)
        if self._scale is not None:
            entries = [scaled for _, scaled in self._scale(entries).items()]
        found: Probabilities = self._compiled(entries)[0]
        return found
