"""ONNX Runtime, for the format that most other tools read."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.tiling import Probabilities
from unetflow.imaging.workers import count_cores
from unetflow.unet.engines.engine import Engine, Identity, Parts, digest_parts

if TYPE_CHECKING:
    import keras

_FILE = "network.onnx"


def convert_to_onnx(model: "keras.Model") -> Parts:
    """Convert a Keras model into one ONNX file, as Keras itself does it.

    Raises:
        InputError: tf2onnx, which Keras asks, is not installed.
    """
    with TemporaryDirectory() as folder:
        written = Path(folder, _FILE)
        try:
            with catch_warnings():  # Keras makes tf2onnx fit for NumPy 2 by a name that NumPy lost
                filterwarnings("ignore", r".*`np\.object`", FutureWarning)
                model.export(written, format="onnx", verbose=False, input_signature=model.inputs)
        except ImportError as error:
            raise InputError(
                "engine",
                f"the network cannot be converted ({error})",
                "Install what is missing with `pip install 'unetflow[serve]'`",
            ) from error
        return {_FILE: _with_four_axes(written.read_bytes())}


def _with_four_axes(network: bytes) -> bytes:
    """Return a network whose output has the axes batch, height, width and outputs for certain.

    A conversion by tf2onnx now and then leaves an axis of length 1 before them.
    """
    import onnx
    from onnx import helper

    model = onnx.load_model_from_string(network)
    graph, name = model.graph, model.graph.output[0].name
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [f"{name}_found" if other == name else other for other in names]
    for constant, values in {"three": [-3], "end": [2**31 - 1], "any": [-1]}.items():
        graph.initializer.append(
            helper.make_tensor(f"{name}_{constant}", onnx.TensorProto.INT64, [1], values)
        )
    for operation, entries, result in (
        ("Shape", ["found"], "shape"),
        ("Slice", ["shape", "three", "end"], "last"),
        ("Concat", ["any", "last"], "wanted"),
    ):
        options = {"axis": 0} if operation == "Concat" else {}
        inputs = [f"{name}_{entry}" for entry in entries]
        graph.node.append(helper.make_node(operation, inputs, [f"{name}_{result}"], **options))
    graph.node.append(helper.make_node("Reshape", [f"{name}_found", f"{name}_wanted"], [name]))
    content: bytes = model.SerializeToString()
    return content


class OnnxEngine(Engine):
    """A network that ONNX Runtime computes on the processor.

    Args:
        parts: What `convert_to_onnx` made.
        identity: See `Engine`; None: the digests of the parts.

    Raises:
        InputError: The network cannot be read, or wants to read other files.
    """

    name = "onnx"

    def __init__(self, parts: Parts, identity: Identity | None = None) -> None:
        import onnxruntime

        self.parts = parts
        self._identity = digest_parts(parts) if identity is None else identity
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = count_cores()
        _refuse_external_data(parts[_FILE])
        try:
            self._session = onnxruntime.InferenceSession(
                parts[_FILE], options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its types have no common parent but this one
            raise InputError(
                _FILE, f"ONNX Runtime cannot read it ({error})", "Export the segmenter again"
            ) from error
        self._input = self._session.get_inputs()[0].name
        self.outputs = int(self._session.get_outputs()[0].shape[-1])

    @property
    def identity(self) -> Identity:
        """See `Engine`."""
        return {"engine": self.name, "precision": self.precision, **self._identity}

    def __call__(self, windows: NDArray[np.generic]) -> Probabilities:
        """Predict raw images; see `Engine`."""
        found: Probabilities = self._session.run(None, {self._input: windows.astype(np.float32)})[0]
        return found


def _tensors_of(graph: Any) -> Iterator[Any]:
    """Yield all constants of a graph of ONNX and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors_of(inner)


def _refuse_external_data(network: bytes) -> None:
    """Raise an `InputError` where weights would be read from any file that the network names."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load_model_from_string(network).graph
    except DecodeError as error:
        raise InputError(
            _FILE, f"it is no ONNX file ({error})", "Export the segmenter again"
        ) from error
    if any(map(onnx.external_data_helper.uses_external_data, _tensors_of(graph))):
        raise InputError(
            _FILE, "it names other files that hold its weights", "Export the segmenter again"
        )
