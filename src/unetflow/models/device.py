"""What a network is computed on."""

import platform
from pathlib import Path
from typing import Any

import keras

_CPU_INFO = Path("/proc/cpuinfo")


def describe_device() -> str:
    """Return the name of the first GPU that Keras uses, or of the processor where there is none."""
    return _name_gpu() or _name_processor()


def has_gpu() -> bool:
    """Return whether Keras computes on a GPU."""
    return bool(_describe_gpu())


def find_gpu_capability() -> tuple[int, int] | None:
    """Return the compute capability of the first GPU, None without one of NVIDIA."""
    capability: tuple[int, int] | None = _describe_gpu().get("compute_capability")
    return capability


def compiles_with_xla() -> bool:
    """Return whether steps and predictions are compiled as a whole.

    Without it JAX is many times slower. TensorFlow on a CPU is slower with it, and each size of an
    image is compiled anew.
    """
    return str(keras.backend.backend()) == "jax"


def read_processor_flags() -> set[str]:
    """Return what Linux says that the processor can do; nothing on other systems."""
    return set(_read_processor("flags").split())


def _name_gpu() -> str | None:
    gpu = _describe_gpu()
    return str(gpu.get("device_name", gpu["name"])) if gpu else None


def _describe_gpu() -> dict[str, Any]:
    """Return name and compute capability of the first GPU that the backend sees, if it tells."""
    ask = {"tensorflow": _ask_tensorflow, "jax": _ask_jax, "torch": _ask_torch}
    return ask[keras.backend.backend()]() if keras.backend.backend() in ask else {}


def _ask_tensorflow() -> dict[str, Any]:
    import tensorflow

    gpus = tensorflow.config.list_physical_devices("GPU")
    if not gpus:
        return {}
    return {
        "name": gpus[0].name,
        **tensorflow.config.experimental.get_device_details(gpus[0]),
    }


def _ask_jax() -> dict[str, Any]:
    import jax

    first = jax.devices()[0]
    if first.platform != "gpu":
        return {}
    capability = getattr(first, "compute_capability", None)
    return {
        "name": first.device_kind,
        **({"compute_capability": tuple(map(int, capability.split(".")))} if capability else {}),
    }


def _ask_torch() -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return {}
    return {
        "name": torch.cuda.get_device_name(),
        "compute_capability": torch.cuda.get_device_capability(),
    }


def _name_processor() -> str:
    """Ask Linux, whose answer to Python's own question is often empty."""
    return _read_processor("model name") or platform.processor() or platform.machine()


def _read_processor(wanted: str) -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == wanted:
                return value.strip()
    return ""
