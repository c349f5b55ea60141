"""How the C library keeps freed memory; without effect where it is not that of GNU."""

import ctypes
import platform
from typing import Any

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Numbers of the parameters in glibc's malloc.h."""
_GROWTH = 16 << 20
"""Bytes by which the heap grows beyond what is needed."""
_LARGEST = 32 << 20
"""The largest number of bytes for `largest` that glibc allows."""


def keep_freed_memory(most: int = 256 << 20, largest: int = _LARGEST) -> None:
    """Keep freed memory at the end of the heap, up to `most` bytes, for the next arrays.

    Arrays of more than `largest` bytes always come from the system and return to it, so that what
    smaller ones leave between them stays small.

    By default glibc returns large arrays to the system at once, and each new one causes page
    faults, which took nearly half of an augmentation's time.
    """
    if (library := _load_glibc()) is not None:
        library.mallopt(_TRIM_THRESHOLD, most)
        library.mallopt(_TOP_PAD, _GROWTH)
        library.mallopt(_MMAP_THRESHOLD, largest)


def return_freed_memory() -> None:
    """Return unused memory to the system."""
    if (library := _load_glibc()) is not None:
        library.malloc_trim(0)


def _load_glibc() -> Any:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
