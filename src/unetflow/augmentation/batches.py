"""Batches of augmented crops, also from processes, and fixed crops for overfitting.

Processes do not share Python's lock. They write batches into memory that they share.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import get_context
from multiprocessing.context import SpawnContext
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.crops import draw_crop
from unetflow.augmentation.object_targets import STEPS
from unetflow.augmentation.policy import Augmenter
from unetflow.config.training import PlannedTraining
from unetflow.core.errors import InputError
from unetflow.core.hashing import generator_for
from unetflow.core.memory import keep_freed_memory
from unetflow.core.parallel import end_with_parent
from unetflow.data.intensity import IntensityRange, normalise
from unetflow.data.samples import Sample, list_with_foreground

Batch: TypeAlias = tuple[NDArray[np.float32], NDArray[Any]]
Order: TypeAlias = tuple[int, Sequence[tuple[str, int]]]
"""An epoch, and for each crop the sample's id and the crop's number."""

_ALIGNMENT = 64
"""In bytes, of the start of each slot."""


@dataclass(frozen=True)
class CropSampler:
    """Draws augmented crops, each a pure function of (seed, epoch, sample id, number).

    Samples are opened when a crop of them is drawn. The settings give the size of the crops and the
    fraction of them that are made to hold foreground; in place of a sample without any, another one
    then gives the crop. Valid convolutions cut `label_margin` pixels off each side of
    the label.
    """

    samples: Mapping[str, Sample]
    intensity: IntensityRange
    augmenter: Augmenter
    settings: PlannedTraining
    seed: int
    label_margin: int = 0

    def make_batch(self, order: Order) -> Batch:
        """Return images `(batch, size, size, channels)` and labels `(batch, size, size, 1)`.

        Labels of samples with weights are float32 `(..., 2)`: the label, then the weight. Those of
        samples with targets for objects have these as further channels, from 0 to 1.
        """
        epoch, crops = order
        images, labels = zip(*(self.make_crop(epoch, *crop) for crop in crops), strict=True)
        return np.stack(images), np.stack(labels)

    def source_of(self, epoch: int, sample_id: str, number: int) -> str:
        """Return the id of the sample that gives a crop.

        It is the sample itself if it has foreground. Else, for the fraction of the crops that are
        made to hold foreground, it is a random one that has some, where there is one.
        """
        fraction = self.settings.foreground_fraction
        if not fraction or sample_id in self._held or not self._held:
            return sample_id
        random = generator_for(self.seed, epoch, sample_id, number, "source")
        if random.random() >= fraction:
            return sample_id
        return list(self._held)[int(random.integers(len(self._held)))]

    @cached_property
    def _held(self) -> dict[str, None]:
        """The ids of the samples with foreground, in their order; quick to look up."""
        return dict.fromkeys(list_with_foreground(self.samples))

    def make_crop(self, epoch: int, sample_id: str, number: int) -> Batch:
        """Return an image `(size, size, channels)` and its label `(size, size, 1)`."""
        random = generator_for(self.seed, epoch, sample_id, number)
        size, margin = self.settings.crop_size, self.label_margin
        fraction = self.settings.foreground_fraction
        source = self.source_of(epoch, sample_id, number)
        if source != sample_id:
            fraction = 1.0
        elif sample_id not in self._held:
            fraction = 0.0  # so that an empty label is not searched
        sample = self.samples[source]
        crop = draw_crop(sample, size, random, margin=margin, foreground_fraction=fraction)
        crop = replace(crop, image=normalise(crop.image, self.intensity))
        crop = self.augmenter.change_sample(crop, int(random.integers(2**32)))
        inner = slice(margin, size - margin)
        return np.asarray(crop.image, np.float32), _stack_truth(crop)[inner, inner]


def _stack_truth(crop: Sample) -> NDArray[Any]:
    """Return the label as `(height, width, 1)`, or with weights and targets as float32 channels."""
    weights, targets = crop.weights, crop.object_targets
    if weights is None and targets is None:
        return crop.label[:, :, np.newaxis]
    if weights is None:
        weights = np.ones(crop.label.shape, np.float32)
    parts: list[NDArray[Any]] = [np.stack([crop.label, weights], axis=2)]
    if targets is not None:
        parts.append(targets / np.float32(STEPS))
    return np.concatenate(parts, axis=2, dtype=np.float32)


def fixed_crops(
    samples: Mapping[str, Sample], settings: PlannedTraining, margin: int, seed: int
) -> dict[str, Sample]:
    """Cut a few squares, with foreground where there is any, for overfitting.

    As many samples as possible are used, those with foreground first. The context `margin` at each
    side of a training crop is left out. The crops are in memory, by a name that begins with the
    sample's id.
    """
    size = settings.crop_size - 2 * margin
    ids, held = list(samples), set(list_with_foreground(samples))
    order = generator_for(seed, "fixed crops").permutation(len(samples)).tolist()
    order.sort(key=lambda place: ids[place] not in held)
    crops = {}
    for number in range(settings.overfit_crops):
        sample_id = ids[order[number % len(ids)]]
        random = generator_for(seed, "fixed crop", number)
        crop = draw_crop(samples[sample_id], size, random, foreground_fraction=1.0)
        crops[f"{sample_id}#{number}"] = crop
    return crops


class BatchMemory:
    """Shared memory with a number of slots (places) for batches.

    A pipe would copy each batch four times. The memory has no name in the file system, so that a
    killed process leaves nothing behind. Processes get this object when they start. Image and label
    of one crop give their shapes and types.
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
    """Prepares a number of batches ahead in processes.

    Each process has a copy of the maker, which draws the crops, at most `batch_size` in a batch.
    """

    def __init__(self, maker: CropSampler, batch_size: int, processes: int, ahead: int) -> None:
        self._ahead = max(ahead, 2 * processes)  # each has a second one to continue with
        context = get_context("spawn")
        places = self._ahead + 2  # two threads of Keras take batches
        crop = maker.make_crop(0, next(iter(maker.samples)), 0)
        self._memory = BatchMemory(context, places, batch_size, crop)
        self._free = list(range(places))
        state = (maker, self._memory)
        self._pool = ProcessPoolExecutor(processes, context, _begin_process, initargs=state)
        self._lock = threading.Lock()
        self._under_way: dict[tuple[int, int], tuple[int | None, Future[Any]]] = {}

    def take(self, index: int, count: int, order: Callable[[int], Order]) -> Batch:
        """Return the batch of an index in its epoch of `count` batches, and submit the next ones.

        `order` returns the content of the batch of an index.

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
        batch: Batch = found if place is None else self._memory.copy(place, found)
        if place is not None:
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
