"""The canonical sample: one image and one label, memory-mapped on disk."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.core.types import Label
from unetflow.io.files import file_signature
from unetflow.io.tiff_writer import write_tiff

IMAGE, LABEL, INSTANCES = "image.tif", "label.tif", "instances.tif"
OVERVIEW, DESCRIPTION = "overview.npz", "sample.json"
INDEX = "index.json"
"""The list of all samples; see `sample_index`."""


@dataclass(frozen=True)
class Sample:
    """An image and its label.

    Attributes:
        image: `(height, width, channels)` at the source's bit depth.
        label: `(height, width)` uint8, class indices; 255 is ignored.
        weights: `(height, width)` float32, how much a pixel's error counts in training; None
            where all count alike.
    """

    image: NDArray[np.generic]
    label: Label
    weights: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class SampleRecord:
    """A sample with all that is known of it.

    Attributes:
        sample: Its pixels.
        instances: `(height, width)`, the number of each pixel's object; None where unknown.
        histogram: See `intensity.intensity_histogram`.
        thumbnail: See `similarity.make_thumbnail`.
        description: Plain values, a row of the manifest.
    """

    sample: Sample
    instances: NDArray[np.unsignedinteger] | None
    histogram: NDArray[np.void]
    thumbnail: NDArray[np.uint8]
    description: dict[str, Any]


@dataclass(frozen=True)
class RejectedPair:
    """A pair that could not be made a sample, and what its files were then."""

    id: str
    signature: str
    error: InputError


def write_sample(folder: Path, sample: Sample) -> None:
    """Write `image.tif` and `label.tif`, uncompressed so that they can be memory-mapped.

    The folder is not synced, since a description follows.
    """
    write_tiff(folder / IMAGE, sample.image, sync_folder=False)
    write_tiff(folder / LABEL, sample.label, sync_folder=False)


def write_described(folder: Path, described: SampleRecord) -> None:
    """Write a sample and, last of all, its description: without that it does not count."""
    (folder / DESCRIPTION).unlink(missing_ok=True)
    write_sample(folder, described.sample)
    if described.instances is None:
        (folder / INSTANCES).unlink(missing_ok=True)
    else:
        write_tiff(folder / INSTANCES, described.instances, "zlib", sync_folder=False)
    # One file for both, since each file that is synced costs about a millisecond
    with (
        atomic_write(folder / OVERVIEW, sync_folder=False) as temporary,
        temporary.open("wb") as file,
    ):
        np.savez(file, histogram=described.histogram, picture=described.thumbnail)
    write_description(folder, described.description)


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write what is known of a sample."""
    with atomic_write(folder / DESCRIPTION) as temporary:
        temporary.write_text(json.dumps(description), encoding="utf-8")


def remove_sample(folder: Path) -> None:
    """Remove a sample's files, its description first, and its folder if nothing else is there."""
    for name in (DESCRIPTION, IMAGE, LABEL, INSTANCES, OVERVIEW):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def open_sample(folder: Path) -> Sample:
    """Open a sample as read-only memory maps: only what is looked at is read.

    The maps are not kept open for later calls, since each holds a file descriptor.
    """
    return _open_sample(folder, {})


@dataclass(frozen=True)
class _Place:
    """Where a file holds its pixels."""

    signature: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int


def _open_sample(folder: Path, places: dict[Path, _Place]) -> Sample:
    image, label = (_map(folder / name, places) for name in (IMAGE, LABEL))
    return Sample(image if image.ndim == 3 else image[:, :, np.newaxis], label)


def _map(path: Path, places: dict[Path, _Place]) -> NDArray[Any]:
    """Map a file whose header is read once only: that takes ten times as long as the mapping."""
    known, now = places.get(path), file_signature(path)
    if known is None or known.signature != now:
        pixels: np.memmap[Any, Any] = tifffile.memmap(path, mode="r")
        places[path] = _Place(now, pixels.dtype, pixels.shape, pixels.offset)
        return pixels
    return np.memmap(path, known.dtype, "r", known.offset, known.shape)


class SampleFolder(Mapping[str, Sample]):
    """The samples of a folder by id, each opened as memory maps when it is asked for.

    Args:
        folder: Holds a folder for each sample.
        descriptions: What is known of each sample, by id in natural order.
        left_out: An error for each file that the source has left out.
        rejected: The pairs that could not be made samples.

    Attributes:
        folder: As given.
        refused: All errors, those of the source first.
    """

    def __init__(
        self,
        folder: Path,
        descriptions: Mapping[str, Mapping[str, Any]],
        left_out: Sequence[InputError] = (),
        rejected: Sequence[RejectedPair] = (),
    ) -> None:
        self.folder = folder
        self._places: dict[Path, _Place] = {}
        self.descriptions = dict(descriptions)
        self.left_out = list(left_out)
        self.rejected = list(rejected)
        self.refused = [*left_out, *(pair.error for pair in rejected)]

    def __getitem__(self, sample_id: str) -> Sample:
        return _open_sample(self._folder_of(sample_id), self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self.descriptions)

    def __len__(self) -> int:
        return len(self.descriptions)

    def instances(self, sample_id: str) -> NDArray[np.unsignedinteger] | None:
        """Return the number of each pixel's object `(height, width)`; None where unknown."""
        path = self._folder_of(sample_id) / INSTANCES
        return np.asarray(tifffile.imread(path)) if path.exists() else None

    def histogram(self, sample_id: str) -> NDArray[np.void]:
        """Return a sample's intensities; see `intensity.intensity_histogram`."""
        with np.load(self._folder_of(sample_id) / OVERVIEW, allow_pickle=False) as overview:
            return np.asarray(overview["histogram"])

    def thumbnail(self, sample_id: str) -> NDArray[np.uint8]:
        """Return a sample in small; see `similarity.make_thumbnail`."""
        with np.load(self._folder_of(sample_id) / OVERVIEW, allow_pickle=False) as overview:
            return np.asarray(overview["picture"])

    def select(self, ids: Sequence[str]) -> "SampleFolder":
        """Return the part of the samples with these ids, in this order."""
        missing = [i for i in ids if i not in self.descriptions]
        if missing:
            raise InputError(
                self.folder, f"sample '{missing[0]}' is not there", "Run the ingestion again"
            )
        return SampleFolder(self.folder, {i: self.descriptions[i] for i in ids})

    def _folder_of(self, sample_id: str) -> Path:
        if sample_id not in self.descriptions:
            raise KeyError(sample_id)
        return self.folder / sample_id
