"""Batches of augmented crops, and fixed crops for overfitting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.crops import draw_crop
from unetflow.augmentation.policy import Augmenter
from unetflow.config.training import PlannedTraining
from unetflow.core.hashing import generator_for
from unetflow.data.intensity import IntensityRange, normalise
from unetflow.data.samples import Sample

Batch: TypeAlias = tuple[NDArray[np.float32], NDArray[Any]]
Order: TypeAlias = tuple[int, Sequence[tuple[str, int]]]
"""An epoch, and for each crop the sample's id and the crop's number."""


@dataclass(frozen=True)
class CropSampler:
    """Draws crops, each a pure function of (seed, epoch, sample id, number).

    Attributes:
        samples: The training samples by id, opened when a crop of them is drawn.
        intensity: The intensities that become 0 and 1.
        augmenter: Augments each crop.
        settings: Size of the crops, and fraction of them with foreground.
        seed: Seed of the crops.
        label_margin: Pixels that valid convolutions cut off each side of the label.
    """

    samples: Mapping[str, Sample]
    intensity: IntensityRange
    augmenter: Augmenter
    settings: PlannedTraining
    seed: int
    label_margin: int = 0

    def make_batch(self, order: Order) -> Batch:
        """Return images `(batch, size, size, channels)` and labels `(batch, size, size, 1)`.

        Labels of samples with weights are float32 `(..., 2)`: the label, then the weight.
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


def fixed_crops(
    samples: Mapping[str, Sample], settings: PlannedTraining, margin: int, seed: int
) -> dict[str, Sample]:
    """Cut a few squares, with foreground where there is any, for overfitting.

    Args:
        samples: As many of them as possible are used.
        settings: The number of crops and the edge of a training crop.
        margin: Context at each side of a training crop, which is left out.
        seed: Seed of the choice.

    Returns:
        The crops in memory by a name that begins with the sample's id.
    """
    size = settings.crop_size - 2 * margin
    order = generator_for(seed, "fixed crops").permutation(len(samples)).tolist()
    ids = list(samples)
    return {
        f"{ids[order[number % len(ids)]]}#{number}": draw_crop(
            samples[ids[order[number % len(ids)]]],
            size,
            generator_for(seed, "fixed crop", number),
            foreground_fraction=1.0,
        )
        for number in range(settings.overfit_crops)
    }
