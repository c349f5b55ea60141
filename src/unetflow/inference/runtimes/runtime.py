"""Runtimes that compute a finished network: Keras itself, OpenVINO and ONNX Runtime.

Each of the others is a module with a function that converts a Keras model into files, kept in
memory as bytes, and a class that starts from them and predicts. Libraries are imported when they
are first needed; an exported network needs no Keras.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import Predictor, Probabilities

if TYPE_CHECKING:
    import keras

Parts: TypeAlias = Mapping[str, bytes]
"""The files of a network by name."""

Identity: TypeAlias = Mapping[str, Any]
"""Values for JSON that differ when networks compute something else."""

RUNTIMES = ("keras", "openvino", "onnx")
PARTS = {"openvino": {"network.xml", "network.bin"}, "onnx": {"network.onnx"}}
"""File names of a network by runtime."""
_NEEDED = {"openvino": ("openvino", "OpenVINO"), "onnx": ("onnxruntime", "ONNX Runtime")}
"""Module that a runtime needs, and its name in messages."""


class Runtime(ABC):
    """A loaded network.

    Attributes:
        name: One of `RUNTIMES`.
        outputs: Probabilities for each pixel.
        precision: Precision of the computation, "float32" or "bfloat16".
        parts: The files that it was loaded from; None for a Keras model.
    """

    name: str
    outputs: int
    precision: str = "float32"
    parts: Parts | None = None

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Values that differ when networks compute something else."""

    @abstractmethod
    def __call__(self, windows: NDArray[np.generic]) -> Probabilities:
        """Predict raw images `(batch, height, width, channels)` of any dtype.

        Returns:
            `(batch, height, width, outputs)` float32, smaller by the margin of valid convolutions.
        """


def as_predictor(model: "keras.Model") -> Predictor:
    """Return a function that predicts one batch."""
    from unetflow.models.device import compiles_with_xla

    model.jit_compile = compiles_with_xla()
    # It compiles once for each shape; `predict` takes tens of milliseconds more in every call.
    predict: Callable[[NDArray[np.generic]], Probabilities] = model.predict_on_batch
    return lambda windows: predict(windows.astype(np.float32))


class KerasRuntime(Runtime):
    """A Keras model from raw images to probabilities."""

    name = "keras"

    def __init__(self, model: "keras.Model") -> None:
        self.model = model
        self.outputs = int(model.output_shape[-1])
        self._predict = as_predictor(model)

    @property
    def identity(self) -> Identity:
        """Digests of the weights and of the layers, some of which have no weights."""
        from unetflow.models.keras_io import digest_weights

        layers = hashlib.sha256(self.model.to_json().encode()).hexdigest()
        return {"weights": digest_weights(self.model), "layers": layers}

    def __call__(self, windows: NDArray[np.generic]) -> Probabilities:
        """Predict raw images; see `Runtime`."""
        return self._predict(windows)


class ConvertedRuntime(Runtime):
    """A network that was converted from Keras; its identity is by default that of its parts."""

    def __init__(self, parts: Parts, identity: Identity | None = None) -> None:
        self.parts = parts
        digests = {name: hashlib.sha256(part).hexdigest() for name, part in sorted(parts.items())}
        self._identity = digests if identity is None else identity

    @property
    def identity(self) -> Identity:
        """See `Runtime`; its keys stand in unfinished results of earlier versions, too."""
        return {"engine": self.name, "precision": self.precision, **self._identity}


def choose_runtime(wanted: str, precision: str = "float32") -> str:
    """Return one of `RUNTIMES`.

    Args:
        wanted: One, or "auto": OpenVINO where it is installed and Keras has no GPU, else Keras.
        precision: "float32", or "bfloat16", which only OpenVINO supports.

    Raises:
        InputError: The runtime is unknown, not installed, or lacks the precision.
    """
    if wanted not in ("auto", *RUNTIMES):
        known = ", ".join(("auto", *RUNTIMES))
        raise InputError("runtime", f"'{wanted}' is unknown", f"Use one of {known}")
    runtime = _choose_automatically() if wanted == "auto" else wanted
    if precision not in ("float32", "bfloat16"):
        raise InputError("precision", f"'{precision}' is unknown", "Use float32 or bfloat16")
    if precision == "bfloat16" and runtime != "openvino":
        raise InputError(
            "precision",
            f"the runtime '{runtime}' predicts in float32 only",
            "Use the runtime 'openvino', or float32",
        )
    module, name = _NEEDED.get(runtime, (None, ""))
    if module is not None and find_spec(module) is None:
        raise InputError(
            "runtime",
            f"{name} is not installed",
            "Install it with `pip install 'unetflow[serve]'`, or use the runtime 'keras'",
        )
    return runtime


def _choose_automatically() -> str:
    if find_spec("openvino") is None:
        return "keras"
    from unetflow.models.device import has_gpu

    return "keras" if has_gpu() else "openvino"


def convert_network(model: "keras.Model", runtime: str) -> Parts:
    """Convert a Keras model for "openvino" or "onnx"; where a length is None, it takes any."""
    if runtime == "openvino":
        from unetflow.inference.runtimes.openvino_runtime import convert_to_openvino

        return convert_to_openvino(model)
    from unetflow.inference.runtimes.onnx_runtime import convert_to_onnx

    return convert_to_onnx(model)


def start_runtime(
    runtime: str, parts: Parts, precision: str = "float32", identity: Identity | None = None
) -> Runtime:
    """Load a network that `convert_network` made; see `choose_runtime` and `ConvertedRuntime`.

    Raises:
        InputError: The runtime cannot read the files, or this processor lacks the precision.
    """
    if runtime == "openvino":
        from unetflow.inference.runtimes.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(parts, precision, identity)
    from unetflow.inference.runtimes.onnx_runtime import OnnxRuntime

    return OnnxRuntime(parts, identity)
