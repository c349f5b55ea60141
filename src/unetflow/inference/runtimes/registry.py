"""What computes a finished network: Keras, OpenVINO or ONNX Runtime.

Each engine is a module: a function that converts a Keras model into files for it, which are kept in
memory as bytes, and a class that starts from them and predicts. No library is imported before
it is needed; an exported network needs no Keras.
"""

from collections.abc import Set
from importlib.util import find_spec
from typing import TYPE_CHECKING

from unetflow.core.errors import InputError
from unetflow.inference.runtimes.runtime import Identity, Parts, Runtime

if TYPE_CHECKING:
    import keras

ENGINES = ("keras", "openvino", "onnx")

_PARTS = {"openvino": {"network.xml", "network.bin"}, "onnx": {"network.onnx"}}
"""The files that a network has for each engine."""

_NEEDED = {
    "openvino": ("openvino", "OpenVINO"),
    "onnx": ("onnxruntime", "ONNX Runtime"),
}
"""For each engine the module that it needs and its name."""


def choose_runtime(wanted: str, precision: str = "float32") -> str:
    """Return one of `ENGINES`.

    Args:
        wanted: One of them, or "auto": OpenVINO where it is installed and Keras has no GPU, else
            Keras.
        precision: "float32", or "bfloat16", which only OpenVINO computes in.

    Raises:
        InputError: There is no such engine, it is not installed, or it lacks the precision.
    """
    if wanted not in ("auto", *ENGINES):
        known = ", ".join(("auto", *ENGINES))
        raise InputError("engine", f"'{wanted}' is unknown", f"Use one of {known}")
    engine = _choose_automatically() if wanted == "auto" else wanted
    if precision not in ("float32", "bfloat16"):
        raise InputError("precision", f"'{precision}' is unknown", "Use float32 or bfloat16")
    if precision == "bfloat16" and engine != "openvino":
        raise InputError(
            "precision",
            f"the engine '{engine}' predicts in float32 only",
            "Use the engine 'openvino', or float32",
        )
    if engine in _NEEDED:
        module, name = _NEEDED[engine]
        if find_spec(module) is None:
            raise InputError(
                "engine",
                f"{name} is not installed",
                "Install it with `pip install 'unetflow[serve]'`, or use the engine 'keras'",
            )
    return engine


def convert_network(model: "keras.Model", engine: str) -> Parts:
    """Convert a Keras model into files for another engine.

    Args:
        model: From raw images to probabilities. Where its height, width or batch is None, the
            result takes any.
        engine: "openvino" or "onnx".
    """
    if engine == "openvino":
        from unetflow.inference.runtimes.openvino_runtime import convert_to_openvino

        return convert_to_openvino(model)
    from unetflow.inference.runtimes.onnx_runtime import convert_to_onnx

    return convert_to_onnx(model)


def start_runtime(
    engine: str, parts: Parts, precision: str = "float32", identity: Identity | None = None
) -> Runtime:
    """Make a network ready to predict.

    Args:
        engine: "openvino" or "onnx".
        parts: What `convert_network` made for it.
        precision: See `choose_runtime`.
        identity: What identifies the network; None: the digests of the parts.

    Raises:
        InputError: The engine cannot read the files, or this processor lacks the precision.
    """
    if engine == "openvino":
        from unetflow.inference.runtimes.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(parts, precision, identity)
    from unetflow.inference.runtimes.onnx_runtime import OnnxRuntime

    return OnnxRuntime(parts, identity)


def find_runtime(names: Set[str]) -> str | None:
    """Return the engine whose networks consist of files with these names; None: there is none."""
    return next((engine for engine, parts in _PARTS.items() if parts == names), None)


def _choose_automatically() -> str:
    if find_spec("openvino") is None:
        return "keras"
    from unetflow.models.device import has_gpu

    return "keras" if has_gpu() else "openvino"
