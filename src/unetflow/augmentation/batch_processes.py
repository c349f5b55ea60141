"""Batches prepared by processes, which do not share Python's lock."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.context import SpawnContext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.batches import Batch, CropSampler, Order
from unetflow.core.errors import InputError
from unetflow.core.parallel import end_with_parent, keep_freed_memory

_ALIGNMENT = 64
"""In bytes, of the start of each slot."""


class BatchMemory:
    """Shared memory with slots for batches.

    A pipe would copy each batch four times. The memory has no name in the file system, so that a
    killed process leaves nothing behind.

    Args:
        context: Of the processes, which get this object when they start.
        places: Number of slots.
        batch_size: Crops in a batch, at most.
        crop: Image and label of one crop, for their shapes and types.
    """

    def __init__(self, context: SpawnContext, places: int, batch_size: int, crop: Batch) -> None:
        self._layout = [((batch_size, *part.shape), part.dtype) for part in crop]
        size = sum(batch_size * part.nbytes for part in crop)
        self._stride = -(-size // _ALIGNMENT) * _ALIGNMENT
        self._memory = context.RawArray("b", places * self._stride)

    def put(self, place: int, batch: Batch) -> int:
        """Write a batch into a slot, and return the number of its crops."""
        for view, part in zip(self._views(place), batch, strict=True):
            view[: len(part)] = part
        return len(batch[0])

    def copy(self, place: int, count: int) -> Batch:
        """Return a copy of the first `count` crops of a slot."""
        images, labels = (view[:count].copy() for view in self._views(place))
        return images, labels

    def _views(self, place: int) -> list[NDArray[Any]]:
        views, offset = [], place * self._stride
        for shape, dtype in self._layout:
            view: NDArray[Any] = np.ndarray(shape, dtype, self._memory, offset)
            views.append(view)
            offset += view.nbytes
        return views


class BatchProcesses:
    """Prepares batches ahead in processes.

    Args:
        maker: Draws the crops; each process has a copy.
        batch_size: Crops in a batch, at most.
        processes: Number of processes.
        ahead: Number of batches to prepare before they are requested.
    """

    def __init__(self, maker: CropSampler, batch_size: int, processes: int, ahead: int) -> None:
        self._ahead = max(ahead, 2 * processes)  # each has a second one to continue with
        context = get_context("spawn")
        places = self._ahead + 2  # two threads of Keras take batches
        crop = maker.make_crop(0, next(iter(maker.samples)), 0)
        self._memory = BatchMemory(context, places, batch_size, crop)
        self._free = list(range(places))
        self._pool = ProcessPoolExecutor(
            processes, context, _begin_process, initargs=(maker, self._memory)
        )
        self._lock = threading.Lock()
        self._under_way: dict[tuple[int, int], tuple[int | None, Future[Any]]] = {}

    def take(self, index: int, count: int, order: Callable[[int], Order]) -> Batch:
        """Return a batch, and submit the next ones.

        Args:
            index: Of the batch in its epoch.
            count: Batches of the epoch.
            order: Returns the content of the batch of an index.

        Raises:
            InputError: A process was killed.
        """
        try:
            with self._lock:
                epoch = order(index)[0]
                for number in range(index, min(index + self._ahead, count)):
                    if (epoch, number) not in self._under_way:
                        # Without a free slot, as for batches out of order, it goes through a pipe.
                        place = self._free.pop() if self._free else None
                        made = self._pool.submit(_make_batch, order(number), place)
                        self._under_way[epoch, number] = place, made
                place, made = self._under_way.pop((epoch, index))
            found: Any = made.result()
        except BrokenProcessPool as error:
            raise InputError(
                "training.processes",
                "a process that prepared crops was killed, perhaps because memory ran out",
                "Lower it, or set it to 0 for threads, and start again: training is resumed after "
                "the last epoch",
            ) from error
        if place is None:
            batch: Batch = found
            return batch
        batch = self._memory.copy(place, found)
        with self._lock:
            self._free.append(place)
        return batch

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)


_own: tuple[CropSampler, BatchMemory] | None = None
"""State of a process that prepares batches."""


def _begin_process(maker: CropSampler, memory: BatchMemory) -> None:
    global _own  # noqa: PLW0603 - state of a pool's process
    end_with_parent()
    keep_freed_memory()
    import cv2

    cv2.setNumThreads(1)  # each process has its core
    _own = maker, memory


def _make_batch(order: Order, place: int | None) -> Batch | int:
    """Make a batch; return it, or the number of its crops if it has a slot."""
    if _own is None:
        raise RuntimeError("this process has not been initialised")
    maker, memory = _own
    batch = maker.make_batch(order)
    return batch if place is None else memory.put(place, batch)
