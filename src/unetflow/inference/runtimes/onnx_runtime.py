"""The runtime of ONNX, a format that most other tools read."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.parallel import count_cores
from unetflow.core.types import Probabilities
from unetflow.inference.runtimes.runtime import ConvertedRuntime, Identity, Parts

if TYPE_CHECKING:
    import keras

_FILE, _AGAIN = "network.onnx", "Export the segmenter again"


def convert_to_onnx(model: "keras.Model") -> Parts:
    """Convert a Keras model into one ONNX file; an `InputError` where tf2onnx is missing."""
    with TemporaryDirectory() as folder:
        written = Path(folder, _FILE)
        try:
            with catch_warnings():
                # Keras patches tf2onnx for NumPy 2 with a name that NumPy removed.
                filterwarnings("ignore", r".*`np\.object`", FutureWarning)
                model.export(written, format="onnx", verbose=False, input_signature=model.inputs)
        except ImportError as error:
            raise InputError(
                "runtime",
                f"the network cannot be converted ({error})",
                "Install what is missing with `pip install 'unetflow[serve]'`",
            ) from error
        return {_FILE: _with_squeezed_output(written.read_bytes())}


def _with_squeezed_output(network: bytes) -> bytes:
    """Return a network whose output has the axes batch, height, width and outputs.

    tf2onnx writes the last transposition of a single output as a reshape to five axes and a squeeze
    to four. Depending on the order in which it visits the nodes, the squeeze is lost.
    """
    import onnx

    model = onnx.load_model_from_string(network)
    graph, name = model.graph, model.graph.output[0].name
    lengths = graph.output[0].type.tensor_type.shape.dim
    surplus = list(range(len(lengths) - 4))
    if not surplus:
        return network
    del lengths[: len(surplus)]
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [f"{name}_unsqueezed" if other == name else other for other in names]
    graph.initializer.append(
        onnx.helper.make_tensor(f"{name}_surplus", onnx.TensorProto.INT64, [len(surplus)], surplus)
    )
    inputs = [f"{name}_unsqueezed", f"{name}_surplus"]
    graph.node.append(onnx.helper.make_node("Squeeze", inputs, [name]))
    content: bytes = model.SerializeToString()
    return content


class OnnxRuntime(ConvertedRuntime):
    """A network of `convert_to_onnx` that ONNX Runtime computes on the CPU.

    Raises:
        InputError: The network cannot be read, or refers to other files.
    """

    name = "onnx"

    def __init__(self, parts: Parts, identity: Identity | None = None) -> None:
        import onnxruntime

        super().__init__(parts, identity)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = count_cores()
        _refuse_external_data(parts[_FILE])
        try:
            self._session = onnxruntime.InferenceSession(
                parts[_FILE], options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no other common base
            raise InputError(_FILE, f"ONNX Runtime cannot read it ({error})", _AGAIN) from error
        self._input = self._session.get_inputs()[0].name
        self.outputs = int(self._session.get_outputs()[0].shape[-1])

    def __call__(self, windows: NDArray[np.generic]) -> Probabilities:
        """Predict raw images; see `Runtime`."""
        found: Probabilities = self._session.run(None, {self._input: windows.astype(np.float32)})[0]
        return found


def _tensors_of(graph: Any) -> Iterator[Any]:
    """Yield all constants of an ONNX graph and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors_of(inner)


def _refuse_external_data(network: bytes) -> None:
    """Raise an `InputError` where the network refers to files that hold its weights."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load_model_from_string(network).graph
    except DecodeError as error:
        raise InputError(_FILE, f"it is not an ONNX file ({error})", _AGAIN) from error
    if any(map(onnx.external_data_helper.uses_external_data, _tensors_of(graph))):
        raise InputError(_FILE, "it refers to other files that hold its weights", _AGAIN)
