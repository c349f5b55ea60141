"""What datasets of one file have in common."""

from pathlib import Path
from typing import Any, NoReturn, TypeVar

from kedro.io import AbstractDataset, DatasetError

Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")


class OneFileDataset(AbstractDataset[Saved, Loaded]):
    """One file.

    Args:
        filepath: The file.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class WrittenFileDataset(OneFileDataset[Saved, NoReturn]):
    """One file for other programs, which is never read here; see `OneFileDataset`."""

    def load(self) -> NoReturn:
        """Refuse: the file is for other programs."""
        raise DatasetError(f"{self._filepath} is only written.")
