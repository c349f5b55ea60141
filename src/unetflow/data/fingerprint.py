"""Statistics of the training split, with a digest of the whole data set."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.config.base import Strict
from unetflow.config.classes import ClassSpec
from unetflow.data.intensity import (
    DriftReference,
    IntensityStatistics,
    Moments,
    measure_drift_reference,
    measure_intensity,
    measure_moments,
)
from unetflow.data.manifest import digest_data
from unetflow.data.object_sizes import (
    ObjectStatistics,
    SmallestObjects,
    measure_pieces,
    summarise_objects,
)
from unetflow.data.samples import SampleFolder


class Spread(Strict):
    """Spread of a quantity over the training images."""

    smallest: float
    median: float
    largest: float


class ImageSize(Strict):
    """Height and width in pixels."""

    height: int
    width: int


class Fingerprint(Strict):
    """What planning, construction and training need to know of the data.

    Attributes:
        digest: Of the content and the split of all samples.
        samples: Number by split.
        channels: Of each image.
        dtype: NumPy type of the images.
        height: In pixels, over the training split.
        width: Likewise.
        largest: Over all splits.
        intensity: Of the training split; pixels outside a region of interest do not count.
        range: The same for each image; None in files of early versions.
        class_frequencies: Fraction of the training pixels that are not ignored, by class.
        empty_fraction: Fraction of the training images that hold no class but the first; None in
            files of earlier versions.
        objects: Of the training images that number them; None where none does, and in files of
            early versions.
        smallest_objects: What a smallest object would cost among the training objects; None for
            more than two classes, without any object, and in files of earlier versions.
    """

    digest: str
    samples: dict[str, int]
    channels: int
    dtype: str
    height: Spread
    width: Spread
    largest: ImageSize
    intensity: IntensityStatistics
    range: DriftReference | None = None
    class_frequencies: dict[str, float]
    empty_fraction: float | None = None
    objects: ObjectStatistics | None = None
    smallest_objects: SmallestObjects | None = None


def measure_fingerprint(
    manifest: pd.DataFrame, samples: SampleFolder, classes: Sequence[ClassSpec]
) -> Fingerprint:
    """Measure the training split, and digest the whole data set.

    The histograms and object sizes of the samples are read one at a time, and so are the labels of
    samples that do not number their objects. The classes are in the order of labels.
    """
    training = manifest[manifest["split"] == "train"]
    moments: list[Moments] = []

    def read_histograms() -> Iterator[NDArray[np.void]]:
        for sample_id in training["id"]:
            histogram = samples.histogram(sample_id)
            if len(histogram):
                moments.append(measure_moments(histogram))
            yield histogram

    intensity = measure_intensity(read_histograms())
    counted = training["height"] * training["width"] * (1 - training["ignored"])
    return Fingerprint(
        digest=digest_data(manifest),
        samples={str(k): n for k, n in manifest["split"].value_counts().items()},
        channels=int(training["channels"].iloc[0]),
        dtype=np.dtype(str(training["dtype"].iloc[0])).name,
        height=_spread(training["height"]),
        width=_spread(training["width"]),
        largest=ImageSize(height=int(manifest["height"].max()), width=int(manifest["width"].max())),
        intensity=intensity,
        range=measure_drift_reference(moments, [*training["height"], *training["width"]]),
        class_frequencies={
            c.name: float((training[f"fraction_{c.name}"] * counted).sum() / max(counted.sum(), 1))
            for c in classes
        },
        empty_fraction=float(
            (training[[f"fraction_{c.name}" for c in classes[1:]]] <= 0).all(axis=1).mean()
        ),
        objects=summarise_objects(
            (samples.object_areas(sample_id) for sample_id in training["id"]),
            training.get("touching", pd.Series(dtype=float)).dropna().astype(int).tolist(),
        ),
        smallest_objects=(
            SmallestObjects.of(_read_true_areas(samples, training["id"]))
            if len(classes) == 2
            else None
        ),
    )


def _read_true_areas(
    samples: SampleFolder, ids: Iterable[str]
) -> Iterator[tuple[NDArray[np.integer], bool]]:
    """Yield the areas of each sample's true objects, and whether it numbers them."""
    for sample_id in ids:
        areas = samples.object_areas(sample_id)
        if areas is None:
            yield measure_pieces(samples[sample_id].label), False
        else:
            yield areas, True


def _spread(values: "pd.Series[int]") -> Spread:
    return Spread(
        smallest=float(values.min()), median=float(values.median()), largest=float(values.max())
    )
