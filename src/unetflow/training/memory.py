"""Memory of freed tensors is kept for the next ones."""

import keras

from unetflow.core.memory import keep_freed_memory, return_freed_memory

_KEPT = 1 << 30
"""Bytes that may stay unused at the end of the heap while a network trains."""

_LARGEST = 8 << 20
"""Bytes of the largest tensors that are kept. Without oneDNN, which TensorFlow leaves out on
processors without AVX-512, twelve steps of 16 filters took 2.7 s of system time with 32 MB, about 4
with 8 MB and 8.1 s with none; the peak was 14 % and 7 % higher than with none."""


class MemoryReuse(keras.callbacks.Callback):
    """Keeps the memory of freed tensors in the process until the training ends.

    When TensorFlow (2.21) reads the first batch of a generator, it has glibc return freed memory
    from 128 KB on. Then nearly every tensor of each step is requested from the system, which clears
    its pages; this took half of the processor time of a step.
    """

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Take effect after TensorFlow."""
        if batch == 0:
            keep_freed_memory(_KEPT, _LARGEST)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Return what is unused."""
        return_freed_memory()
