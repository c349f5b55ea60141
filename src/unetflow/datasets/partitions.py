"""Files of one kind in a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kedro_datasets.partitions import PartitionedDataset


class PartitionsDataset(PartitionedDataset):
    """The partitions of kedro-datasets, of which there may be none.

    Args:
        replace: Whether files that are not among the saved ones are removed after saving.
        options: See `partitions.PartitionedDataset`.
    """

    def __init__(self, *, replace: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._replace = replace

    def load(self) -> dict[str, Callable[[], Any]]:
        """Return a function for each file that reads it."""
        found: dict[str, Callable[[], Any]] = super().load() if self.exists() else {}
        return found

    def save(self, data: Mapping[str, Any]) -> None:
        """Write the files."""
        super().save(data)
        if self._replace:
            for name in self.load().keys() - data.keys():
                Path(self._partition_to_path(name)).unlink()
