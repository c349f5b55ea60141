"""OpenVINO, which computes in bfloat16 and in int8 too where the processor is quick at them."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.tiling import Probabilities
from unetflow.imaging.workers import count_cores
from unetflow.unet.engines.engine import Engine, Parts
from unetflow.unet.engines.rounding import round_kernels

if TYPE_CHECKING:
    import keras


def convert_to_openvino(model: "keras.Model") -> Parts:
    """Convert a Keras model into OpenVINO's own two files, with weights in float32.

    The core reads TensorFlow's format itself. `openvino.convert_model`, which would do the same,
    tells Intel about each use unless the user has declined.
    """
    import openvino

    with TemporaryDirectory() as folder:
        saved, written = Path(folder, "saved_model"), Path(folder, "network.xml")
        model.export(saved, format="tf_saved_model", verbose=False, input_signature=model.inputs)
        network = openvino.Core().read_model(saved)
        openvino.save_model(network, written, compress_to_fp16=False)
        weights = written.with_suffix(".bin")
        return {path.name: path.read_bytes() for path in (written, weights)}


class OpenVinoEngine(Engine):
    """A network that OpenVINO computes on the processor.

    Args:
        parts: What `convert_to_openvino` made.
        precision: "float32" or "bfloat16".

    Raises:
        InputError: The network cannot be read, or this processor cannot multiply bfloat16.
    """

    name = "openvino"

    def __init__(self, parts: Parts, precision: str = "float32") -> None:
        import openvino

        self.precision = precision
        core = openvino.Core()
        if precision == "bfloat16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise InputError(
                "precision", "this processor does not multiply bfloat16", "Use float32"
            )
        # Left alone, OpenVINO takes bfloat16 wherever it is quicker.
        hint = openvino.Type.bf16 if precision == "bfloat16" else openvino.Type.f32
        options = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": count_cores(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            network = core.read_model(parts["network.xml"], parts["network.bin"])
            if precision == "bfloat16":
                round_kernels(network)
            self.outputs = network.output(0).partial_shape[-1].get_length()
            self._compiled = core.compile_model(network, "CPU", options)
        except RuntimeError as error:
            raise InputError(
                "network.xml",
                f"OpenVINO cannot read it ({error})",
                "Export the segmenter again",
            ) from error

    def __call__(self, windows: NDArray[np.generic]) -> Probabilities:
        """Predict raw images; see `Engine`."""
        found: Probabilities = self._compiled(windows.astype(np.float32))[0]
        return found
