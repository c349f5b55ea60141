"""Folders that a node itself writes to, bit by bit."""

from pathlib import Path
from typing import Any

from unetflow.datasets.read_only import ReadOnlyDataset
from unetflow.inference.blockwise.result_files import ResultFolders
from unetflow.training.checkpoints import CheckpointFolder


class CheckpointDataset(ReadOnlyDataset[CheckpointFolder]):
    """A folder from which a training that was cut off is resumed; it writes there itself.

    Args:
        path: The folder.
        keep: Trainings that are kept.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, path: str, keep: int = 3, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(metadata=metadata)
        self._folder = CheckpointFolder(Path(path), keep)

    def load(self) -> CheckpointFolder:
        """Return the folder."""
        return self._folder

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder.folder), "keep": self._folder.keep}


class LargeResultsDataset(ReadOnlyDataset[ResultFolders]):
    """Where labels and probabilities of images go that are segmented block by block.

    It is an input of what segments them: such a result is never in memory as a whole, and lies
    unfinished beside its place while it is made.

    Args:
        labels: The folder of the labels.
        probabilities: That of the probabilities.
        filename_suffix: `.tif` for tiled TIFF files, `.zarr` for Zarr arrays.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(
        self,
        *,
        labels: str,
        probabilities: str,
        filename_suffix: str = ".tif",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(metadata=metadata)
        self._folders = ResultFolders(Path(labels), Path(probabilities), filename_suffix)

    def load(self) -> ResultFolders:
        """Return the folders."""
        return self._folders

    def _describe(self) -> dict[str, Any]:
        folders = self._folders
        return {"labels": str(folders.labels), "filename_suffix": folders.suffix}
