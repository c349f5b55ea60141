"""Batches of augmented crops, in this process or in others."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.augmentation import Augmenter
from unetflow.imaging.crops import draw_crop, generator_for
from unetflow.imaging.errors import InputError
from unetflow.imaging.intensity import IntensityRange, normalise
from unetflow.imaging.samples import Sample
from unetflow.imaging.workers import end_with_parent

Batch: TypeAlias = tuple[NDArray[np.float32], NDArray[Any]]
Order: TypeAlias = tuple[int, Sequence[tuple[str, int]]]
"""An epoch, and for each crop the sample's id and the crop's number."""


@dataclass(frozen=True)
class CropMaker:
    """Makes crops, each a pure function of (seed, epoch, sample id, number).

    Attributes:
        samples: The training samples by id, opened when a crop of them is drawn.
        intensity: What becomes 0 and 1.
        augmenter: Changes each crop.
        crop_size: Edge of a crop in pixels.
        label_margin: Pixels to cut off each side of the label, for valid convolutions.
        foreground_share: Share of the crops that are made to hold a foreground pixel.
        seed: Another seed gives other crops.
    """

    samples: Mapping[str, Sample]
    intensity: IntensityRange
    augmenter: Augmenter
    crop_size: int
    label_margin: int
    foreground_share: float
    seed: int

    def make_batch(self, order: Order) -> Batch:
        """Return images `(batch, size, size, channels)` and labels `(batch, size, size, 1)`.

        Samples with weights give float32 labels with the weights behind them, `(..., 2)`.
        """
        epoch, crops = order
        images, labels = zip(*(self.make_crop(epoch, *crop) for crop in crops), strict=True)
        return np.stack(images), np.stack(labels)

    def make_crop(
        self, epoch: int, sample_id: str, number: int
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Return an image `(size, size, channels)` and its label `(size, size, 1)`."""
        random = generator_for(self.seed, epoch, sample_id, number)
        crop = draw_crop(
            self.samples[sample_id],
            self.crop_size,
            random,
            margin=self.label_margin,
            foreground_share=self.foreground_share,
        )
        image = normalise(crop.image, self.intensity)
        seed = int(random.integers(2**32))
        inner = slice(self.label_margin, self.crop_size - self.label_margin)
        if crop.weights is None:
            image, label = self.augmenter(image, crop.label, seed)
            return image, label[inner, inner, np.newaxis]
        image, label, weights = self.augmenter.change_weighted(
            image, crop.label, crop.weights, seed
        )
        return image, np.stack([label, weights], axis=2)[inner, inner].astype(np.float32)


class BatchProcesses:
    """Makes batches ahead in processes of their own, which share no lock of Python's.

    Args:
        maker: What makes them; each process has a copy.
        processes: How many.
        ahead: Batches that are made before they are asked for.
    """

    def __init__(self, maker: CropMaker, processes: int, ahead: int) -> None:
        self._pool = ProcessPoolExecutor(
            processes, get_context("spawn"), _begin_process, initargs=(maker,)
        )
        self._ahead = max(ahead, processes)
        self._lock = threading.Lock()
        self._under_way: dict[tuple[int, int], Future[Batch]] = {}

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
                for place in range(index, min(index + self._ahead, count)):
                    key = epoch, place
                    if key not in self._under_way:
                        self._under_way[key] = self._pool.submit(_make_batch, order(place))
                batch = self._under_way.pop((epoch, index))
            return batch.result()
        except BrokenProcessPool as error:
            raise InputError(
                "training.processes",
                "a process that prepared crops was ended from outside, perhaps for want of memory",
                "Lower it, or set it to 0 for threads, and start again: it goes on after the "
                "last epoch",
            ) from error

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)


_maker: CropMaker | None = None
"""Of a process that makes batches."""


def _begin_process(maker: CropMaker) -> None:
    global _maker  # noqa: PLW0603 - a process of a pool has no other place
    end_with_parent()
    import cv2

    cv2.setNumThreads(1)  # each process has its core
    _maker = maker


def _make_batch(order: Order) -> Batch:
    if _maker is None:
        raise RuntimeError("this process has not begun")
    return _maker.make_batch(order)
