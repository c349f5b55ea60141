"""Weight maps on disk, computed once for each sample and opened lazily."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.augmentation.weight_map import objects_of, weight_map
from unetflow.config.training import WeightMapParameters
from unetflow.core.atomic import atomic_write
from unetflow.data.samples import INDEX, Sample, SampleFolder
from unetflow.io.tiff_writer import write_tiff

WEIGHTS, MARK = "weights.tif", "weights.json"
_FORM = 1
"""Raised when the content of weight maps changes, so that all are computed again."""


class WeightFolder(Mapping[str, NDArray[np.float32]]):
    """The weight maps of a folder by sample id, each opened as a memory map when it is asked for.

    Args:
        folder: Holds a folder for each sample.
        ids: The samples that have a map.
    """

    def __init__(self, folder: Path, ids: Sequence[str] = ()) -> None:
        self.folder, self._ids = folder, dict.fromkeys(ids)

    @classmethod
    def read(cls, folder: Path) -> "WeightFolder":
        """List the maps of a folder.

        Raises:
            FileNotFoundError: The list is missing.
            ValueError: It is damaged.
        """
        return cls(folder, json.loads((folder / INDEX).read_text(encoding="utf-8")))

    def write_index(self) -> None:
        """Replace the list of the folder's maps in one step."""
        with atomic_write(self.folder / INDEX) as temporary:
            temporary.write_text(json.dumps(list(self._ids)), encoding="utf-8")

    def __getitem__(self, sample_id: str) -> NDArray[np.float32]:
        if sample_id not in self._ids:
            raise KeyError(sample_id)
        weights: NDArray[np.float32] = tifffile.memmap(self.folder / sample_id / WEIGHTS, mode="r")
        return weights

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


class WeightedSamples(Mapping[str, Sample]):
    """Samples by id together with their weight maps."""

    def __init__(
        self, samples: Mapping[str, Sample], weights: Mapping[str, NDArray[np.float32]]
    ) -> None:
        self._samples, self._weights = samples, weights

    def __getitem__(self, sample_id: str) -> Sample:
        sample = self._samples[sample_id]
        return Sample(sample.image, sample.label, self._weights[sample_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._samples)

    def __len__(self) -> int:
        return len(self._samples)


def update_weight_maps(
    folder: Path,
    samples: SampleFolder,
    settings: WeightMapParameters,
    class_weights: Mapping[str, float],
) -> int:
    """Bring a folder of weight maps up to date.

    A map is left alone when its sample and the settings are those of before. Each map is whole or
    does not count, so that a killed run resumes where it was. The folder's index is removed first:
    until it is written again, the folder counts as empty.

    Args:
        folder: Holds a folder for each sample.
        samples: The samples that get a map.
        settings: How the borders are weighted.
        class_weights: The weight of each class by its name, in the order of the labels.

    Returns:
        How many maps were computed.
    """
    (folder / INDEX).unlink(missing_ok=True)
    wanted = dict.fromkeys(samples)
    for mark in sorted(folder.rglob(MARK)):
        if mark.parent.relative_to(folder).as_posix() not in wanted:
            _remove(mark.parent)
    rule = hashlib.sha256(f"{_FORM} {settings} {dict(class_weights)}".encode()).hexdigest()
    computed = 0
    for sample_id in wanted:
        home = folder / sample_id
        stamp = json.dumps({"rule": rule, "sample": samples.descriptions[sample_id]["stamp"]})
        if not _is_current(home, stamp):
            (home / MARK).unlink(missing_ok=True)
            weights = _compute_one(samples, sample_id, settings, class_weights)
            write_tiff(home / WEIGHTS, weights, sync_folder=False)
            with atomic_write(home / MARK) as temporary:
                temporary.write_text(stamp, encoding="utf-8")
            computed += 1
    return computed


def _is_current(home: Path, stamp: str) -> bool:
    mark = home / MARK
    is_whole = mark.is_file() and (home / WEIGHTS).is_file()
    return is_whole and mark.read_text(encoding="utf-8", errors="replace") == stamp


def _compute_one(
    samples: SampleFolder,
    sample_id: str,
    settings: WeightMapParameters,
    class_weights: Mapping[str, float],
) -> NDArray[np.float32]:
    label = np.asarray(samples[sample_id].label)
    instances = (
        samples.instances(sample_id)
        if settings.objects is None
        else objects_of(label, list(class_weights).index(settings.objects))
    )
    return weight_map(
        label,
        instances,
        class_weights=list(class_weights.values()),
        border_weight=settings.border_weight,
        border_width=settings.border_width,
    )


def _remove(home: Path) -> None:
    for name in (MARK, WEIGHTS):
        (home / name).unlink(missing_ok=True)
    if not any(home.iterdir()):
        home.rmdir()
