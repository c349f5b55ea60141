"""Runtimes that compute a finished network: Keras, OpenVINO and ONNX Runtime.

Each is a module with a function that converts a Keras model into files, kept in memory as bytes,
and a class that starts from them and predicts. Libraries are imported when they are first needed;
an exported network needs no Keras.
"""

from collections.abc import Set
from importlib.util import find_spec
from typing import TYPE_CHECKING

from unetflow.core.errors import InputError
from unetflow.inference.runtimes.runtime import Identity, Parts, Runtime

if TYPE_CHECKING:
    import keras

RUNTIMES = ("keras", "openvino", "onnx")

_PARTS = {"openvino": {"network.xml", "network.bin"}, "onnx": {"network.onnx"}}
"""File names of a network by runtime."""

_NEEDED = {"openvino": ("openvino", "OpenVINO"), "onnx": ("onnxruntime", "ONNX Runtime")}
"""Module that a runtime needs, and its name in messages."""


def choose_runtime(wanted: str, precision: str = "float32") -> str:
    """Return one of `RUNTIMES`.

    Args:
        wanted: One of them, or "auto": OpenVINO where it is installed and Keras has no GPU, else
            Keras.
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
    """Convert a Keras model for "openvino" or "onnx".

    Args:
        model: From raw images to probabilities. Where its height, width or batch is None, the
            result takes any.
        runtime: The runtime.
    """
    if runtime == "openvino":
        from unetflow.inference.runtimes.openvino_runtime import convert_to_openvino

        return convert_to_openvino(model)
    from unetflow.inference.runtimes.onnx_runtime import convert_to_onnx

    return convert_to_onnx(model)


def start_runtime(
    runtime: str, parts: Parts, precision: str = "float32", identity: Identity | None = None
) -> Runtime:
    """Load a network that `convert_network` made.

    Args:
        runtime: "openvino" or "onnx".
        parts: The files of the network.
        precision: See `choose_runtime`.
        identity: Identifies the network; None: the digests of the parts.

    Raises:
        InputError: The runtime cannot read the files, or this processor lacks the precision.
    """
    if runtime == "openvino":
        from unetflow.inference.runtimes.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(parts, precision, identity)
    from unetflow.inference.runtimes.onnx_runtime import OnnxRuntime

    return OnnxRuntime(parts, identity)


def find_runtime(names: Set[str]) -> str | None:
    """Return the runtime whose networks consist of files with these names; None: no runtime."""
    return next((runtime for runtime, parts in _PARTS.items() if parts == names), None)
