"""The states of trainings that are under way as a catalog entry."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from unetflow.core.types import Identity
from unetflow.training.checkpoints import Checkpoint, CheckpointFolder


class _Folder(CheckpointFolder):
    """Remembers which trainings were asked for."""

    def __init__(self, folder: Path, keep: int) -> None:
        super().__init__(folder, keep)
        self.used: list[Checkpoint] = []

    def of(self, identity: Identity) -> Checkpoint:
        self.used.append(super().of(identity))
        return self.used[-1]


class CheckpointDataset(AbstractDataset[NoReturn, CheckpointFolder]):
    """A folder from which a training that was cut off is gone on with.

    Args:
        path: The folder.
        keep: Trainings that are kept.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, path: str, keep: int = 3, metadata: dict[str, Any] | None = None) -> None:
        self._folder = _Folder(Path(path), keep)
        self.metadata = metadata

    def load(self) -> CheckpointFolder:
        """Return the folder."""
        return self._folder

    def save(self, data: NoReturn) -> None:
        """Refuse: a training writes its state while it goes on."""
        raise DatasetError("The states of trainings are only an input of the training.")

    def finish(self) -> None:
        """Remove the states of this run's trainings, since all that follows them is done."""
        while self._folder.used:
            self._folder.used.pop().remove()

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder.folder), "keep": self._folder.keep}
