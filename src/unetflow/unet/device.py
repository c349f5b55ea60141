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
    """Return whether Keras computes on a GPU, as far as TensorFlow or PyTorch or JAX tells."""
    return bool(keras.distribution.list_devices("gpu"))


def find_gpu_capability() -> tuple[int, int] | None:
    """Return the compute capability of the first GPU; None where Keras uses none, or not NVIDIA's.

    Only TensorFlow tells it.
    """
    capability: tuple[int, int] | None = _describe_gpu().get("compute_capability")
    return capability


def read_processor_flags() -> set[str]:
    """Return what Linux says that the processor can do; nothing on other systems."""
    return set(_read_processor("flags").split())


def _name_gpu() -> str | None:
    gpu = _describe_gpu()
    return str(gpu.get("device_name", gpu["name"])) if gpu else None


def _describe_gpu() -> dict[str, Any]:
    if keras.backend.backend() != "tensorflow":
        return {}
    import tensorflow

    gpus = tensorflow.config.list_physical_devices("GPU")
    if not gpus:
        return {}
    return {
        "name": gpus[0].name,
        **tensorflow.config.experimental.get_device_details(gpus[0]),
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
