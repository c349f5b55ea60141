"""The GPU or processor that Keras computes on."""

import platform
from pathlib import Path
from typing import Any

import keras

_CPU_INFO = Path("/proc/cpuinfo")


def describe_device() -> str:
    """Return the name of the first GPU that Keras uses, or else of the processor."""
    gpu = _describe_gpu()
    if gpu:
        return str(gpu["name"])
    return _read_cpu_info("model name") or platform.processor() or platform.machine()


def has_gpu() -> bool:
    """Return whether Keras computes on a GPU."""
    return bool(_describe_gpu())


def find_gpu_capability() -> tuple[int, int] | None:
    """Return the compute capability of the first GPU; None without an NVIDIA GPU."""
    capability: tuple[int, int] | None = _describe_gpu().get("compute_capability")
    return capability


def compiles_with_xla() -> bool:
    """Return whether XLA compiles steps and predictions as a whole.

    JAX is many times slower without it. TensorFlow on a CPU is slower with it and compiles again
    for every image size.
    """
    return str(keras.backend.backend()) == "jax"


def read_processor_flags() -> set[str]:
    """Return the processor's feature flags as Linux names them; empty on other systems."""
    return set(_read_cpu_info("flags").split())


def _describe_gpu() -> dict[str, Any]:
    """Return `name` and, if known, `compute_capability` of the backend's first GPU, or nothing."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        for gpu in tensorflow.config.list_physical_devices("GPU")[:1]:
            details = tensorflow.config.experimental.get_device_details(gpu)
            return {**details, "name": details.get("device_name", gpu.name)}
    if keras.backend.backend() == "jax":
        import jax

        first = jax.devices()[0]
        if first.platform == "gpu":
            capability = getattr(first, "compute_capability", None)
            known = tuple(map(int, capability.split("."))) if capability else None
            return {"name": first.device_kind, "compute_capability": known}
    return {}


def _read_cpu_info(field: str) -> str:
    """Return the first value of a field in Linux's description of the processor."""
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""
