"""Batches of augmented crops."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.crops import draw_crop
from unetflow.augmentation.policy import Augmenter
from unetflow.config.training import PlannedTraining
from unetflow.core.rng import generator_for
from unetflow.data.intensity import IntensityRange, normalise
from unetflow.data.samples import Sample

Batch: TypeAlias = tuple[NDArray[np.float32], NDArray[Any]]
Order: TypeAlias = tuple[int, Sequence[tuple[str, int]]]
"""An epoch, and for each crop the sample's id and the crop's number."""


@dataclass(frozen=True)
class CropSampler:
    """Makes crops, each a pure function of (seed, epoch, sample id, number).

    Attributes:
        samples: The training samples by id, opened when a crop of them is drawn.
        intensity: What becomes 0 and 1.
        augmenter: Changes each crop.
        settings: Size of the crops, and how many are made to hold a foreground pixel.
        seed: Another seed gives other crops.
        label_margin: Pixels to cut off each side of the label, for valid convolutions.
    """

    samples: Mapping[str, Sample]
    intensity: IntensityRange
    augmenter: Augmenter
    settings: PlannedTraining
    seed: int
    label_margin: int = 0

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
        size = self.settings.crop_size
        crop = draw_crop(
            self.samples[sample_id],
            size,
            random,
            margin=self.label_margin,
            foreground_fraction=self.settings.foreground_fraction,
        )
        image = normalise(crop.image, self.intensity)
        seed = int(random.integers(2**32))
        inner = slice(self.label_margin, size - self.label_margin)
        if crop.weights is None:
            image, label = self.augmenter(image, crop.label, seed)
            return image, label[inner, inner, np.newaxis]
        image, label, weights = self.augmenter.change_weighted(
            image, crop.label, crop.weights, seed
        )
        return image, np.stack([label, weights], axis=2)[inner, inner].astype(np.float32)
