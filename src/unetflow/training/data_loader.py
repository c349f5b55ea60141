"""Batches of augmented crops, drawn while the network trains."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.batch_processes import BatchProcesses
from unetflow.augmentation.batches import CropSampler, Order
from unetflow.augmentation.policy import Augmenter
from unetflow.core.rng import generator_for
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample
from unetflow.training.planner.memory import QUEUE_LENGTH


class CropLoader(keras.utils.PyDataset):
    """An epoch of augmented crops, each a pure function of (seed, epoch, sample id, number).

    So an epoch is the same whatever the number of threads that prepare it.

    Args:
        samples: The training samples by id, opened when a crop of them is drawn.
        intensity: What becomes 0 and 1.
        augmenter: Changes each crop.
        crop_size: Edge of a crop in pixels.
        label_margin: Pixels to cut off each side of the label, for valid convolutions.
        batch_size: Crops in a batch; the last batch of an epoch may have fewer.
        crops_per_image: Crops of each sample in an epoch.
        foreground_fraction: Share of the crops that are made to hold a foreground pixel.
        seed: Another seed gives other crops in another order.
        workers: Threads that prepare batches ahead of the training step.
        processes: Processes that prepare them instead, as a GPU may need it: threads of Python
            get in each other's way. They take seconds to start, and some 0.2 GB each.
    """

    def __init__(  # noqa: PLR0913 - each says something else about the crops
        self,
        samples: Mapping[str, Sample],
        intensity: IntensityRange,
        augmenter: Augmenter,
        *,
        crop_size: int,
        label_margin: int = 0,
        batch_size: int,
        crops_per_image: int,
        foreground_fraction: float = 0.0,
        seed: int,
        workers: int = 2,
        processes: int = 0,
    ) -> None:
        # With processes the threads only wait for them.
        super().__init__(workers=2 if processes else workers, max_queue_size=QUEUE_LENGTH)
        self._maker = CropSampler(
            samples, intensity, augmenter, crop_size, label_margin, foreground_fraction, seed
        )
        self._processes = (
            BatchProcesses(self._maker, batch_size, processes, QUEUE_LENGTH) if processes else None
        )
        self._batch_size = batch_size
        self._seed = seed
        self._crops = [(i, number) for i in samples for number in range(crops_per_image)]
        self._start_epoch(0)

    @property
    def num_batches(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._crops) // self._batch_size)

    @property
    def num_crops(self) -> int:
        """Crops in an epoch."""
        return len(self._crops)

    def samples_of(self, index: int) -> list[str]:
        """Return the ids of the samples whose crops are in a batch of the current epoch."""
        return [self._crops[place][0] for place in self._chosen(index)]

    def begin_with(self, epoch: int) -> None:
        """Begin with a later epoch than the first, which is 0; before Keras has seen the feed."""
        self._start_epoch(epoch)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Return images `(batch, size, size, channels)` and labels `(batch, size, size, 1)`.

        Samples with weights give float32 labels with the weights behind them, `(..., 2)`.
        """
        if self._processes is None:
            return self._maker.make_batch(self._order_of(index))
        return self._processes.take(index, self.num_batches, self._order_of)

    def close(self) -> None:
        """End the processes, if there are any."""
        if self._processes is not None:
            self._processes.close()

    def on_epoch_end(self) -> None:
        """Go on to the next epoch's crops; Keras calls it when all threads are done."""
        self._start_epoch(self._epoch + 1)

    def _chosen(self, index: int) -> list[int]:
        first = index * self._batch_size
        return [int(place) for place in self._order[first : first + self._batch_size]]

    def _order_of(self, index: int) -> Order:
        return self._epoch, [self._crops[place] for place in self._chosen(index)]

    def _start_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        self._order = generator_for(self._seed, epoch, "order").permutation(len(self._crops))
