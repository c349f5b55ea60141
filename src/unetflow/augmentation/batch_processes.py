"""Batches made ahead by processes of their own, which share no lock of Python's."""

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
"""Bytes that the start of a place is a multiple of."""


class BatchMemory:
    """Memory that processes share, with places for batches.

    A batch that travelled through a pipe would be copied four times. The memory has no name in the
    file system, so that a process that is killed leaves nothing behind.

    Args:
        context: Of the processes; what they begin with must hold this object.
        places: Number of batches.
        batch_size: Crops in a batch, at most.
        crop: Image and label of one crop, for their shapes and types.
    """

    def __init__(self, context: SpawnContext, places: int, batch_size: int, crop: Batch) -> None:
        self._layout = [((batch_size, *part.shape), part.dtype) for part in crop]
        size = sum(batch_size * part.nbytes for part in crop)
        self._stride = -(-size // _ALIGNMENT) * _ALIGNMENT
        self._memory = context.RawArray("b", places * self._stride)

    def put(self, place: int, batch: Batch) -> int:
        """Write a batch, and return the number of its crops."""
        for view, part in zip(self._views(place), batch, strict=True):
            view[: len(part)] = part
        return len(batch[0])

    def copy(self, place: int, count: int) -> Batch:
        """Return a copy of so many crops of a batch."""
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
    """Makes batches ahead in processes of their own.

    Args:
        maker: What makes them; each process has a copy.
        batch_size: Crops in a batch, at most.
        processes: How many.
        ahead: Batches that are made before they are asked for.
    """

    def __init__(self, maker: CropSampler, batch_size: int, processes: int, ahead: int) -> None:
        self._ahead = max(ahead, 2 * processes)  # each has one to go on with
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
        """Return a batch, and see to it that those after it are made.

        Args:
            index: Of the batch in its epoch.
            count: Batches of the epoch.
            order: Tells for each index what is in the batch.

        Raises:
            InputError: A process was ended from outside.
        """
        try:
            with self._lock:
                epoch = order(index)[0]
                for number in range(index, min(index + self._ahead, count)):
                    if (epoch, number) not in self._under_way:
                        # Without a free place, as when batches are asked for in disorder, it
                        # travels through a pipe.
                        place = self._free.pop() if self._free else None
                        made = self._pool.submit(_make_batch, order(number), place)
                        self._under_way[epoch, number] = place, made
                place, made = self._under_way.pop((epoch, index))
            found: Any = made.result()
        except BrokenProcessPool as error:
            raise InputError(
                "training.processes",
                "a process that prepared crops was ended from outside, perhaps for want of memory",
                "Lower it, or set it to 0 for threads, and start again: it goes on after the "
                "last epoch",
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
"""Of a process that makes batches."""


def _begin_process(maker: CropSampler, memory: BatchMemory) -> None:
    global _own  # noqa: PLW0603 - a process of a pool has no other place
    end_with_parent()
    keep_freed_memory()
    import cv2

    cv2.setNumThreads(1)  # each process has its core
    _own = maker, memory


def _make_batch(order: Order, place: int | None) -> Batch | int:
    """Make a batch, and return it, or the number of its crops where it has a place to go to."""
    if _own is None:
        raise RuntimeError("this process has not begun")
    maker, memory = _own
    batch = maker.make_batch(order)
    return batch if place is None else memory.put(place, batch)
