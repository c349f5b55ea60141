"""Files of one kind in a folder, of which there may be none."""

from collections.abc import Callable
from typing import Any

from kedro_datasets.partitions import PartitionedDataset


class PartitionsDataset(PartitionedDataset):
    """The partitions of kedro-datasets; but a folder that is empty, or not there, is no error."""

    def load(self) -> dict[str, Callable[[], Any]]:
        """Return a function for each file that reads it."""
        found: dict[str, Callable[[], Any]] = super().load() if self.exists() else {}
        return found
