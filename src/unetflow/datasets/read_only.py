"""Base class of catalog entries that a run only reads."""

from typing import Any, NoReturn, TypeVar

from kedro.io import AbstractDataset, DatasetError

Loaded = TypeVar("Loaded")

RAW = {"kedro-viz": {"layer": "raw"}}
"""Metadata of entries that users write without any."""


class ReadOnlyDataset(AbstractDataset[NoReturn, Loaded]):
    """An input of a run; messages say of it what is `described`."""

    def __init__(self, *, metadata: dict[str, Any] | None = None, **described: Any) -> None:
        self.metadata = metadata
        self._described = described

    def save(self, data: NoReturn) -> None:
        """Refuse."""
        raise DatasetError(f"{type(self).__name__} is only read.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return self._described
