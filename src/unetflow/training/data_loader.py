"""Batches of augmented crops, prepared while the network trains."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.batches import BatchProcesses, CropSampler, Order
from unetflow.augmentation.policy import Augmenter
from unetflow.config.training import PlannedTraining
from unetflow.core.hashing import generator_for
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample
from unetflow.training.planner.network_cost import QUEUE_LENGTH


class CropLoader(keras.utils.PyDataset):
    """An epoch of augmented crops, each a pure function of (seed, epoch, sample id, number).

    Where `steps_per_epoch` does not suffice for all crops, an epoch takes the next part of them in
    their random order, which begins again in another order when all had their turn. So all images
    are seen equally often, and an epoch depends on nothing but the seed and its number.

    Args:
        samples: The training samples by id, opened when a crop of them is drawn.
        intensity: The intensities that become 0 and 1.
        augmenter: Augments each crop.
        settings: Size and number of the crops, and the threads or processes that prepare them;
            processes take seconds to start, and some 0.2 GB each.
        seed: Seed of the crops and their order.
        label_margin: Pixels that valid convolutions cut off each side of the label.
    """

    def __init__(
        self,
        samples: Mapping[str, Sample],
        intensity: IntensityRange,
        augmenter: Augmenter,
        settings: PlannedTraining,
        seed: int,
        *,
        label_margin: int = 0,
    ) -> None:
        processes, self._batch_size, self._seed = settings.processes, settings.batch_size, seed
        # With processes the threads only wait for them.
        workers = 2 if processes else settings.workers
        super().__init__(workers=workers, max_queue_size=QUEUE_LENGTH)
        self._maker = CropSampler(samples, intensity, augmenter, settings, seed, label_margin)
        self._processes: BatchProcesses | None = None
        if processes:
            self._processes = BatchProcesses(self._maker, self._batch_size, processes, QUEUE_LENGTH)
        self._crops = [(i, n) for i in samples for n in range(settings.crops_per_image)]
        self._most_crops = (settings.steps_per_epoch or len(self._crops)) * self._batch_size
        self.begin_with(0)

    @property
    def num_batches(self) -> int:
        """Batches in an epoch."""
        return -(-self.num_crops // self._batch_size)

    @property
    def num_crops(self) -> int:
        """Crops in an epoch."""
        return min(len(self._crops), self._most_crops)

    def samples_of(self, index: int) -> list[str]:
        """Return the ids of the samples whose crops are in a batch of the current epoch."""
        epoch, crops = self._order_of(index)
        return [self._maker.source_of(epoch, *crop) for crop in crops]

    def begin_with(self, epoch: int) -> None:
        """Start with an epoch, counted from 0; to be called before Keras reads a batch."""
        self._epoch = epoch
        first = epoch * self.num_crops
        numbers = np.arange(first, first + self.num_crops)
        passes, places = np.divmod(numbers, len(self._crops))
        orders = {int(p): self._order_of_pass(int(p)) for p in np.unique(passes)}
        self._order = [
            int(orders[p][place]) for p, place in zip(passes.tolist(), places.tolist(), strict=True)
        ]

    def _order_of_pass(self, number: int) -> NDArray[np.intp]:
        """Return the order of all crops in a pass over them."""
        return generator_for(self._seed, number, "order").permutation(len(self._crops))

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Return images `(batch, size, size, channels)` and labels `(batch, size, size, 1)`.

        Labels of samples with weights are float32 `(..., 2)`: the label, then the weight.
        """
        if self._processes is None:
            return self._maker.make_batch(self._order_of(index))
        return self._processes.take(index, self.num_batches, self._order_of)

    def close(self) -> None:
        """End the processes, if there are any."""
        if self._processes is not None:
            self._processes.close()

    def on_epoch_end(self) -> None:
        """Start the next epoch; Keras calls it when all threads are done."""
        self.begin_with(self._epoch + 1)

    def _order_of(self, index: int) -> Order:
        places = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._epoch, [self._crops[place] for place in places]
