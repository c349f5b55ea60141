"""What a network is computed on."""

import platform
from pathlib import Path

import keras

_CPU_INFO = Path("/proc/cpuinfo")


def describe_device() -> str:
    """Return the name of the first GPU that Keras uses, or of the processor where there is none."""
    return _name_gpu() or _name_processor()


def _name_gpu() -> str | None:
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow

    gpus = tensorflow.config.list_physical_devices("GPU")
    if not gpus:
        return None
    details = tensorflow.config.experimental.get_device_details(gpus[0])
    return str(details.get("device_name", gpus[0].name))


def _name_processor() -> str:
    """Ask Linux, whose answer to Python's own question is often empty."""
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
