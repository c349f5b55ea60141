"""Samples and their weight maps: folders whose list of contents is written last."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, TypeVar

from kedro.io import AbstractDataset

from unetflow.augmentation.weight_map_store import WeightFolder
from unetflow.data.samples import INDEX, SampleFolder
from unetflow.io.files import require_file

Contents = TypeVar("Contents")


class _IndexedFolderDataset(AbstractDataset[Contents, Contents]):
    """A folder that nodes fill file by file; saving writes its list of contents.

    Args:
        path: The folder.
        optional: Whether a folder without a readable list is loaded as an empty one: a node that
            fills it takes the folder as an input, too.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(
        self, *, path: str, optional: bool = False, metadata: dict[str, Any] | None = None
    ) -> None:
        self._path = Path(path)
        self._optional = optional
        self.metadata = metadata

    def load(self) -> Contents:
        """List the contents; pixels are read on access."""
        if not self._optional:
            require_file(self._path / INDEX)
            return self._read()
        try:
            return self._read()
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or an old form
            return self._empty()

    @abstractmethod
    def _read(self) -> Contents: ...

    @abstractmethod
    def _empty(self) -> Contents: ...

    def _exists(self) -> bool:
        return (self._path / INDEX).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}


class SamplesDataset(_IndexedFolderDataset[SampleFolder]):
    """A folder with `image.tif`, `label.tif` and more in `<id>/` for each sample."""

    def save(self, data: SampleFolder) -> None:
        """Write the list of all samples."""
        data.write_index()

    def _read(self) -> SampleFolder:
        return SampleFolder.read(self._path)

    def _empty(self) -> SampleFolder:
        return SampleFolder(self._path, {})


class WeightMapsDataset(_IndexedFolderDataset[WeightFolder]):
    """A folder with `<id>/weights.tif`, float32 and uncompressed, for each sample."""

    def save(self, data: WeightFolder) -> None:
        """Write the list of all maps."""
        data.write_index()

    def _read(self) -> WeightFolder:
        return WeightFolder.read(self._path)

    def _empty(self) -> WeightFolder:
        return WeightFolder(self._path, [])
