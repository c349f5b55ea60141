"""Samples and their weight maps: folders whose list of contents is written last."""

from pathlib import Path
from typing import Any, ClassVar

from kedro.io import AbstractDataset

from unetflow.augmentation.weight_map_store import WeightFolder
from unetflow.data.samples import INDEX, SampleFolder
from unetflow.io.files import require_file

Contents = SampleFolder | WeightFolder


class _IndexedFolderDataset(AbstractDataset[Contents, Contents]):
    """A folder that nodes fill file by file; saving writes its list of contents.

    Args:
        path: The folder.
        optional: Whether a folder without a readable list is loaded as an empty one: a node that
            fills it takes the folder as an input, too.
        metadata: Anything; Kedro ignores it.
    """

    _contents: ClassVar[type[Contents]]

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
            return self._contents.read(self._path)
        try:
            return self._contents.read(self._path)
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or an old form
            return self._contents(self._path)

    def save(self, data: Contents) -> None:
        """Write the list of contents."""
        data.write_index()

    def _exists(self) -> bool:
        return (self._path / INDEX).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}


class SamplesDataset(_IndexedFolderDataset):
    """A folder with `image.tif`, `label.tif` and more in `<id>/` for each sample."""

    _contents = SampleFolder


class WeightMapsDataset(_IndexedFolderDataset):
    """A folder with `<id>/weights.tif`, float32 and uncompressed, for each sample."""

    _contents = WeightFolder
