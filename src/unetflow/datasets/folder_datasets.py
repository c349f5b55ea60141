"""Folders that nodes fill file by file, or write to bit by bit."""

from pathlib import Path
from typing import Any, ClassVar

from kedro.io import AbstractDataset

from unetflow.augmentation.map_folder import MapFolder
from unetflow.augmentation.object_targets import ObjectTargetFolder
from unetflow.augmentation.weight_map import WeightFolder
from unetflow.data.samples import INDEX, SampleFolder
from unetflow.datasets.read_only import ReadOnlyDataset
from unetflow.inference.blockwise.result_files import ResultFolders
from unetflow.io.files import require_file
from unetflow.training.saved_states import CheckpointFolder

Contents = SampleFolder | MapFolder


class _IndexedFolderDataset(AbstractDataset[Contents, Contents]):
    """A folder that nodes fill file by file; saving writes its list of contents.

    Args:
        path: The folder.
        optional: Whether a folder without a readable list is loaded as an empty one: a node that
            fills it takes the folder as an input, too.
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


class ObjectTargetsDataset(_IndexedFolderDataset):
    """A folder with `<id>/object_targets.tif`, uint8 and uncompressed, for each sample."""

    _contents = ObjectTargetFolder


class CheckpointDataset(ReadOnlyDataset[CheckpointFolder]):
    """A folder from which a training that was cut off is resumed; it writes there itself.

    Args:
        path: The folder.
        keep: Trainings that are kept.
    """

    def __init__(self, *, path: str, keep: int = 3, metadata: dict[str, Any] | None = None) -> None:
        self._folder = CheckpointFolder(Path(path), keep)
        super().__init__(metadata=metadata, path=str(self._folder.folder), keep=keep)

    def load(self) -> CheckpointFolder:
        """Return the folder."""
        return self._folder


class LargeResultsDataset(ReadOnlyDataset[ResultFolders]):
    """Where labels, probabilities and objects of images go that are segmented block by block.

    It is an input of what segments them: such a result is never in memory as a whole, and lies
    unfinished beside its place while it is made.

    Args:
        labels: The folder of the labels.
        probabilities: That of the probabilities.
        instances: That of the object numbers; None: `instances` beside the folder of the labels.
        filename_suffix: `.tif` for tiled TIFF files, `.zarr` for Zarr arrays.
    """

    def __init__(
        self,
        *,
        labels: str,
        probabilities: str,
        instances: str | None = None,
        filename_suffix: str = ".tif",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._folders = ResultFolders(
            Path(labels),
            Path(probabilities),
            filename_suffix,
            None if instances is None else Path(instances),
        )
        described = {"labels": str(self._folders.labels), "filename_suffix": filename_suffix}
        super().__init__(metadata=metadata, **described)

    def load(self) -> ResultFolders:
        """Return the folders."""
        return self._folders
