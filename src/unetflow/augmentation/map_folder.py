"""Maps of samples' pixels that training needs: computed once, stored, and opened lazily."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import tifffile
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.data.samples import INDEX, SampleFolder, remove_sample
from unetflow.io.tiff_writer import write_tiff


class MapFolder(Mapping[str, NDArray[Any]]):
    """A map for each sample, by its id, each opened as a memory map when it is asked for.

    The folder holds a folder for each sample; `ids` are those that have a map.
    """

    FILE: ClassVar[str]
    """The file of a map in the folder of its sample."""

    def __init__(self, folder: Path, ids: Sequence[str] = ()) -> None:
        self.folder, self._ids = folder, dict.fromkeys(ids)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """List the maps of a folder; a `FileNotFoundError` or `ValueError` if there is no list."""
        return cls(folder, json.loads((folder / INDEX).read_text(encoding="utf-8")))

    def write_index(self) -> None:
        """Replace the list of the folder's maps in one step."""
        with atomic_write(self.folder / INDEX) as temporary:
            temporary.write_text(json.dumps(list(self._ids)), encoding="utf-8")

    def __getitem__(self, sample_id: str) -> NDArray[Any]:
        if sample_id not in self._ids:
            raise KeyError(sample_id)
        pixels: NDArray[Any] = tifffile.memmap(self.folder / sample_id / self.FILE, mode="r")
        return pixels

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def update_maps(
    maps: MapFolder,
    samples: SampleFolder,
    settings: str,
    compute: Callable[[str], NDArray[Any]],
) -> int:
    """Bring a folder of maps up to date, and return how many were computed.

    A map is left alone when its sample and the settings are those of before. Each map is whole or
    does not count, so that a killed run resumes where it was. The folder's index is removed first:
    until it is written again, the folder counts as empty.

    Args:
        maps: Its folder is updated.
        samples: The samples that get a map; maps of other samples are removed.
        settings: All that the maps depend on, besides the samples.
        compute: Returns the map of a sample by its id.
    """
    folder, file = maps.folder, maps.FILE
    mark_name = Path(file).with_suffix(".json").name
    (folder / INDEX).unlink(missing_ok=True)
    for mark in sorted(folder.rglob(mark_name)):
        if mark.parent.relative_to(folder).as_posix() not in samples.descriptions:
            remove_sample(mark.parent, (mark_name, file))
    rule = hashlib.sha256(settings.encode()).hexdigest()
    computed = 0
    for sample_id in samples:
        mark, target = folder / sample_id / mark_name, folder / sample_id / file
        stamp = json.dumps({"rule": rule, "sample": samples.descriptions[sample_id]["stamp"]})
        whole = mark.is_file() and target.is_file()
        if whole and mark.read_text(encoding="utf-8", errors="replace") == stamp:
            continue
        mark.unlink(missing_ok=True)
        write_tiff(target, compute(sample_id), sync_folder=False)
        with atomic_write(mark) as temporary:
            temporary.write_text(stamp, encoding="utf-8")
        computed += 1
    return computed
