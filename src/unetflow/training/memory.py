"""Memory of freed tensors is kept for the next ones."""

import ctypes
import platform
from typing import Any

import keras

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's parameters `M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD`."""

_KEPT = 1 << 30
"""Bytes that may stay unused at the end of the heap while a network trains."""
_LARGEST = 32 << 20
"""Larger blocks always come from the system; glibc allows no larger number."""


class MemoryReuse(keras.callbacks.Callback):
    """Keeps the memory of freed tensors in the process until the training ends.

    When TensorFlow (2.21) reads the first batch of a generator, it has glibc give back freed memory
    from 128 KB on. Then nearly every tensor of each step is asked for anew, and the system clears
    its pages, which took half of the processor time of a step.
    """

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Take effect after TensorFlow."""
        if batch == 0:
            keep_freed_memory()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Give back what is unused."""
        if (library := _load_glibc()) is not None:
            library.malloc_trim(0)


def keep_freed_memory() -> None:
    """Have glibc keep freed memory for later; do nothing elsewhere."""
    if (library := _load_glibc()) is not None:
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)


def _load_glibc() -> Any:
    """Return the C library where it is that of GNU, else None."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
