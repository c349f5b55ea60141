"""The weight maps of samples: computed once for each, kept on disk, opened lazily."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.augmentation.weight_map import objects_of, weight_map
from unetflow.core.atomic import atomic_write
from unetflow.data.samples import INDEX, Sample, SampleFolder
from unetflow.io.tiff_writer import write_tiff

WEIGHTS, MARK = "weights.tif", "weights.json"
_FORM = 1
"""Raised when weight maps change their form, so that all are made anew."""


@dataclass(frozen=True)
class WeightMapRule:
    """How pixels are weighed; see `weight_map.weight_map`.

    Attributes:
        class_weights: Of each class.
        border_weight: What a gap of no width between two objects adds.
        border_width: How wide gaps may be, in pixels.
        objects: Index of the class whose connected pieces are the objects; None takes the objects
            that the samples tell apart, or the pieces of all classes but the first.
    """

    class_weights: tuple[float, ...]
    border_weight: float
    border_width: float
    objects: int | None


@dataclass(frozen=True)
class WeightMapRequest:
    """What weight maps there shall be.

    Attributes:
        samples: The samples that get one.
        rule: How they are weighed; None: no sample gets one.
    """

    samples: SampleFolder
    rule: WeightMapRule | None


class WeightFolder(Mapping[str, NDArray[np.float32]]):
    """The weight maps of a folder by sample id, each opened as a memory map when it is asked for.

    Args:
        folder: Holds a folder for each sample.
        ids: The samples that have a map.
    """

    def __init__(self, folder: Path, ids: list[str]) -> None:
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
    """Samples together with their weight maps.

    Args:
        samples: The samples by id.
        weights: The weight maps of all of them.
    """

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


def update_weight_maps(folder: Path, weighing: WeightMapRequest) -> int:
    """Bring a folder of weight maps up to date.

    A map is left alone when its sample and the rule are those of before, and all are where there is
    no rule. Each map is whole or does not count, so that a killed run resumes where it was. The
    folder's index is removed first: until it is written again, the folder counts as empty.

    Args:
        folder: Holds a folder for each sample.
        weighing: What there shall be.

    Returns:
        How many maps were computed.
    """
    (folder / INDEX).unlink(missing_ok=True)
    if weighing.rule is None:  # another preset may want the maps of before again
        return 0
    wanted = dict.fromkeys(weighing.samples)
    for mark in sorted(folder.rglob(MARK)):
        if mark.parent.relative_to(folder).as_posix() not in wanted:
            _remove(mark.parent)
    computed = 0
    for sample_id in wanted:
        computed += _update_one(folder / sample_id, weighing, sample_id)
    return computed


def _update_one(home: Path, weighing: WeightMapRequest, sample_id: str) -> bool:
    """Compute the map of one sample unless it is there, and tell whether it was needed."""
    rule = weighing.rule
    assert rule is not None  # noqa: S101 - nobody is weighed without one
    known = _stamp(rule, weighing.samples.descriptions[sample_id])
    mark = home / MARK
    is_whole = mark.is_file() and (home / WEIGHTS).is_file()
    if is_whole and mark.read_text(encoding="utf-8", errors="replace") == known:
        return False
    mark.unlink(missing_ok=True)
    label = np.asarray(weighing.samples[sample_id].label)
    instances = (
        weighing.samples.instances(sample_id)
        if rule.objects is None
        else objects_of(label, rule.objects)
    )
    weights = weight_map(
        label,
        instances,
        class_weights=rule.class_weights,
        border_weight=rule.border_weight,
        border_width=rule.border_width,
    )
    write_tiff(home / WEIGHTS, weights, sync_folder=False)
    with atomic_write(mark) as temporary:
        temporary.write_text(known, encoding="utf-8")
    return True


def _stamp(rule: WeightMapRule, description: Mapping[str, Any]) -> str:
    """Return a text that changes with the rule and the sample."""
    digest = hashlib.sha256(f"{_FORM} {rule}".encode()).hexdigest()
    return json.dumps({"rule": digest, "sample": description["stamp"]})


def _remove(home: Path) -> None:
    for name in (MARK, WEIGHTS):
        (home / name).unlink(missing_ok=True)
    if not any(home.iterdir()):
        home.rmdir()
