"""Precision of training: float32 or bfloat16."""

from unetflow.models.device import find_gpu_capability, read_processor_flags

PRECISIONS = ("float32", "bfloat16")

_QUICK_PROCESSORS = {"avx512_bf16", "amx_bf16"}
_QUICK_GPU = (8, 0)
"""Compute capability (Ampere) from which NVIDIA's GPUs multiply bfloat16 faster."""


_NARROW = 16
"""Filters of the first level below which bfloat16 is slower on a processor, since its library
multiplies 16 channels at a time: 0.6 times as fast with 8 filters, 1.7 times with 16."""


def choose_precision(wanted: str, base_filters: int) -> str:
    """Return the precision to train in.

    Args:
        wanted: One of `PRECISIONS`, or "auto" for bfloat16 where the GPU, or without one the
            processor, multiplies it faster than float32.
        base_filters: Filters of the network's first level.
    """
    if wanted != "auto":
        return wanted
    capability = find_gpu_capability()
    if capability is not None:
        return "bfloat16" if capability >= _QUICK_GPU else "float32"
    quick = _QUICK_PROCESSORS & read_processor_flags() and base_filters >= _NARROW
    return "bfloat16" if quick else "float32"
