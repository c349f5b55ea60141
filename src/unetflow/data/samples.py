"""Canonical samples: an image and a label for each, memory-mapped from a folder."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError, restore_error
from unetflow.core.types import IGNORE, Label
from unetflow.io.files import file_signature
from unetflow.io.tiff_writer import write_tiff

IMAGE, LABEL, INSTANCES = "image.tif", "label.tif", "instances.tif"
OVERVIEW, DESCRIPTION = "overview.npz", "sample.json"
FILES = (DESCRIPTION, IMAGE, LABEL, INSTANCES, OVERVIEW)
INDEX = "index.json"
"""The list of all samples; without it a folder counts as empty."""


@dataclass(frozen=True)
class Sample:
    """An image and its label.

    Attributes:
        image: `(height, width, channels)` at the source's bit depth.
        label: `(height, width)` uint8, class indices; 255 is ignored.
        weights: `(height, width)` float32, weight of each pixel's error in training; None if all
            are equal.
        object_targets: `(height, width, outputs)` uint8, what a network learns about objects (see
            `augmentation.object_targets`); None if it learns nothing about them.
    """

    image: NDArray[np.generic]
    label: Label
    weights: NDArray[np.float32] | None = None
    object_targets: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class SampleRecord:
    """Everything that is stored of a sample; see the methods of `SampleFolder`.

    The description holds plain values, a row of the manifest.
    """

    sample: Sample
    instances: NDArray[np.unsignedinteger] | None
    histogram: NDArray[np.void]
    thumbnail: NDArray[np.uint8]
    description: dict[str, Any]
    object_areas: NDArray[np.integer] | None = None


@dataclass(frozen=True)
class RejectedPair:
    """A pair from which no sample could be built, with the signature of its files."""

    id: str
    signature: str
    error: InputError


def write_sample(folder: Path, sample: Sample) -> None:
    """Write image and label, uncompressed for memory maps, without syncing the folder."""
    write_tiff(folder / IMAGE, sample.image, sync_folder=False)
    write_tiff(folder / LABEL, sample.label, sync_folder=False)


def write_record(folder: Path, record: SampleRecord) -> None:
    """Write a sample, its description last; a sample without description does not count."""
    (folder / DESCRIPTION).unlink(missing_ok=True)
    write_sample(folder, record.sample)
    if record.instances is None:
        (folder / INSTANCES).unlink(missing_ok=True)
    else:
        write_tiff(folder / INSTANCES, record.instances, "zlib", sync_folder=False)
    # Both in one file: each file that is synced takes about a millisecond.
    with (
        atomic_write(folder / OVERVIEW, sync_folder=False) as temporary,
        temporary.open("wb") as file,
    ):
        parts = {"histogram": record.histogram, "picture": record.thumbnail}
        if record.object_areas is not None:
            parts["object_areas"] = record.object_areas
        np.savez(file, allow_pickle=False, **parts)
    write_description(folder, record.description)


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write the description of a sample."""
    with atomic_write(folder / DESCRIPTION) as temporary:
        temporary.write_text(json.dumps(description), encoding="utf-8")


def remove_sample(folder: Path, files: Sequence[str] = FILES) -> None:
    """Remove a sample's files, its description first, and its folder if that is empty then."""
    for name in files:
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


class SampleFolder(Mapping[str, Sample]):
    """The samples of a folder by id, opened as read-only memory maps on access.

    The maps are not kept for later calls, because each holds a file descriptor.

    Args:
        folder: Folder with a subfolder for each sample.
        descriptions: Description of each sample by id, in natural order.
        left_out: An error for each file that the source has left out.
        rejected: The pairs from which no sample could be built. `refused` holds all errors.
        detected_objects: Explanation of numbered objects that were recognised in this run.
    """

    def __init__(
        self,
        folder: Path,
        descriptions: Mapping[str, Mapping[str, Any]] = {},
        left_out: Sequence[InputError] = (),
        rejected: Sequence[RejectedPair] = (),
        detected_objects: str = "",
    ) -> None:
        self.folder = folder
        self.descriptions = dict(descriptions)
        self.left_out = list(left_out)
        self.rejected = list(rejected)
        self.detected_objects = detected_objects
        self.refused = [*left_out, *(pair.error for pair in rejected)]
        self._weights: Mapping[str, NDArray[np.float32]] = {}
        self._object_targets: Mapping[str, NDArray[np.uint8]] = {}
        self._headers: dict[Path, tuple[str, tuple[Any, ...]]] = {}

    @classmethod
    def read(cls, folder: Path) -> Self:
        """List the samples of a folder.

        Raises:
            FileNotFoundError: There is no index.
            ValueError, KeyError, TypeError: It is damaged, or of another version.
        """
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return cls(
            folder,
            {description["id"]: description for description in index["samples"]},
            [restore_error(**error) for error in index.get("left_out", [])],
            [
                RejectedPair(p["id"], p["stamp"], restore_error(**p["error"]))
                for p in index["refused"]
            ],
        )

    def write_index(self) -> None:
        """Replace the index of the folder in one step."""
        refused = [
            {"id": pair.id, "stamp": pair.signature, "error": _plain(pair.error)}
            for pair in self.rejected
        ]
        left_out = [_plain(error) for error in self.left_out]
        samples = list(self.descriptions.values())
        index = {"samples": samples, "left_out": left_out, "refused": refused}
        with atomic_write(self.folder / INDEX) as temporary:
            temporary.write_text(json.dumps(index), encoding="utf-8")

    def __getitem__(self, sample_id: str) -> Sample:
        folder = self._folder_of(sample_id)
        image, label = self._map(folder / IMAGE), self._map(folder / LABEL)
        image = image if image.ndim == 3 else image[:, :, np.newaxis]
        maps = (self._weights.get(sample_id), self._object_targets.get(sample_id))
        return Sample(image, label, *maps)

    def __iter__(self) -> Iterator[str]:
        return iter(self.descriptions)

    def __len__(self) -> int:
        return len(self.descriptions)

    def instances(self, sample_id: str) -> NDArray[np.unsignedinteger] | None:
        """Return the number of each pixel's object `(height, width)`; None if unknown."""
        path = self._folder_of(sample_id) / INSTANCES
        return np.asarray(tifffile.imread(path)) if path.exists() else None

    def histogram(self, sample_id: str) -> NDArray[np.void]:
        """Return the intensities of a sample; see `intensity.intensity_histogram`."""
        return self._read_overview(sample_id, "histogram")

    def object_areas(self, sample_id: str) -> NDArray[np.integer] | None:
        """Return the number of pixels of each object; None where the source does not number them.

        Sums over many images need not read the objects of each.
        """
        if not self.descriptions[sample_id].get("has_instances"):
            return None
        return self._read_overview(sample_id, "object_areas")

    def thumbnail(self, sample_id: str) -> NDArray[np.uint8]:
        """Return the thumbnail of a sample; see `duplicates.make_thumbnail`."""
        return self._read_overview(sample_id, "picture")

    def select(self, ids: Sequence[str]) -> "SampleFolder":
        """Return the samples with these ids, in this order."""
        missing = [i for i in ids if i not in self.descriptions]
        if missing:
            raise InputError(
                self.folder, f"sample '{missing[0]}' is not there", "Run the ingestion again"
            )
        selected = {i: self.descriptions[i] for i in ids}
        return SampleFolder(self.folder, selected).with_maps(self._weights, self._object_targets)

    def with_maps(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        object_targets: Mapping[str, NDArray[np.uint8]],
    ) -> "SampleFolder":
        """Return the samples together with the weight maps and targets for objects that exist."""
        mapped = SampleFolder(self.folder, self.descriptions)
        mapped._weights, mapped._object_targets = weights, object_targets
        return mapped

    def _read_overview(self, sample_id: str, name: str) -> NDArray[Any]:
        with np.load(self._folder_of(sample_id) / OVERVIEW, allow_pickle=False) as overview:
            return np.asarray(overview[name])

    def _folder_of(self, sample_id: str) -> Path:
        if sample_id not in self.descriptions:
            raise KeyError(sample_id)
        return self.folder / sample_id

    def _map(self, path: Path) -> NDArray[Any]:
        """Map a file; its header is read once, which takes ten times as long as the mapping."""
        signature = file_signature(path)
        known, header = self._headers.get(path, ("", ()))
        if known == signature:
            return np.memmap(path, *header)
        pixels: np.memmap[Any, Any] = tifffile.memmap(path, mode="r")
        self._headers[path] = signature, (pixels.dtype, "r", pixels.offset, pixels.shape)
        return pixels


def list_with_foreground(samples: Mapping[str, Sample]) -> list[str]:
    """Return the ids of the samples with a pixel that is neither 0 nor 255, in their order.

    The descriptions of stored samples say so (see `pair_reader`); of samples without one each label
    is read once.
    """
    known = samples.descriptions if isinstance(samples, SampleFolder) else {}

    def holds_foreground(sample_id: str) -> bool:
        description = known.get(sample_id, {})
        fractions = [part for name, part in description.items() if name.startswith("fraction_")]
        if fractions:
            return any(part > 0 for part in fractions[1:])
        return bool(np.isin(samples[sample_id].label, (0, IGNORE), invert=True).any())

    return [sample_id for sample_id in samples if holds_foreground(sample_id)]


def spread_evenly(samples: Mapping[str, Sample], number: int) -> list[str]:
    """Return the ids of a number of samples, evenly chosen, in their order; of fewer, all.

    Those with foreground and those without are in proportion, but at least one has foreground where
    any does. It is always the same choice.
    """
    held = list_with_foreground(samples)
    others = [name for name in samples if name not in set(held)]
    together = [*held, *others]
    number = min(number, len(together))
    places = {(2 * n + 1) * len(together) // (2 * number) for n in range(number)}
    if held and min(places, default=0) >= len(held):
        places = places - {min(places)} | {0}
    chosen = {together[place] for place in places}
    return [name for name in samples if name in chosen]


def _plain(error: InputError) -> dict[str, Any]:
    return {part: getattr(error, part) for part in ("kind", "where", "problem", "fix")}
