"""Objects of images as catalog entries."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.datasets.one_file import WrittenFileDataset
from unetflow.instances.coco import write_coco
from unetflow.instances.extraction import Objects
from unetflow.instances.geojson import write_geojson
from unetflow.instances.imagej import write_imagej_rois

FoundObjects = tuple[Objects, Sequence[str]]
"""The objects of an image, and the names of all classes, the background first."""

ObjectsOfImages = tuple[Iterable[tuple[str, Objects]], Sequence[str]]
"""The objects of each image under the name of its file, and the names of all classes."""

_WRITERS: Mapping[str, Callable[[Path, Objects, Sequence[str]], None]] = {
    ".geojson": write_geojson,
    ".zip": write_imagej_rois,
}


class ObjectsFileDataset(WrittenFileDataset[FoundObjects]):
    """The objects of one image in a file for other programs.

    Args:
        filepath: The file; its ending decides the format: `.geojson` for QuPath, `.zip` for
            ImageJ's ROI Manager.
        metadata: Anything; Kedro ignores it.
    """

    def save(self, data: FoundObjects) -> None:
        """Replace the file in one step.

        Raises:
            InputError: Its ending is another one.
        """
        if self._filepath.suffix not in _WRITERS:
            raise InputError(
                self._filepath,
                "objects are not written in this format",
                f"Use one of {', '.join(_WRITERS)}",
            )
        _WRITERS[self._filepath.suffix](self._filepath, *data)


class CocoFileDataset(WrittenFileDataset[ObjectsOfImages]):
    """The objects of many images in one JSON file, as COCO has it.

    Args:
        filepath: The file.
        metadata: Anything; Kedro ignores it.
    """

    def save(self, data: ObjectsOfImages) -> None:
        """Replace the file in one step; images are taken one at a time."""
        write_coco(self._filepath, *data)


class TablesDataset(
    AbstractDataset[Mapping[str, pd.DataFrame], dict[str, Callable[[], pd.DataFrame]]]
):
    """Tables by name, a Parquet file each, written and read one at a time.

    Args:
        path: The folder.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(path)
        self.metadata = metadata

    def load(self) -> dict[str, Callable[[], pd.DataFrame]]:
        """Return a function for each table that reads it; there may be none."""
        return {
            file.relative_to(self._path).with_suffix("").as_posix(): partial(pd.read_parquet, file)
            for file in sorted(self._path.rglob("*.parquet"))
            if not file.name.startswith(".")
        }

    def save(self, data: Mapping[str, pd.DataFrame]) -> None:
        """Write tables beside those that are there, each in one step."""
        for name, table in data.items():
            with atomic_write(self._path / f"{name}.parquet") as temporary:
                table.to_parquet(temporary, index=False)

    def _exists(self) -> bool:
        return self._path.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}
