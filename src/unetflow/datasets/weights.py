"""The weight maps of samples as a catalog entry."""

import json
import logging
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from unetflow.augmentation.weight_map_store import (
    WeightFolder,
    WeightMapRequest,
    compute_weight_maps,
)
from unetflow.core.atomic import atomic_write
from unetflow.io.files import require_file

_log = logging.getLogger(__name__)


class WeightMapsDataset(AbstractDataset[WeightMapRequest, WeightFolder]):
    """A folder with `<id>/weights.tif`, float32 and uncompressed, for each sample.

    Saving computes the maps that are not there yet, one at a time. The list of all maps,
    `index.json`, is taken away first and written last.

    Args:
        path: The folder.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(path)
        self._index = self._path / "index.json"
        self.metadata = metadata

    def load(self) -> WeightFolder:
        """List the maps; their pixels are read when they are asked for."""
        require_file(self._index)
        return WeightFolder(self._path, json.loads(self._index.read_text(encoding="utf-8")))

    def save(self, data: WeightMapRequest) -> None:
        """Bring the maps up to date, and remove those that are no longer wanted."""
        self._index.unlink(missing_ok=True)
        computed = compute_weight_maps(self._path, data)
        ids = list(data.samples) if data.rule is not None else []
        with atomic_write(self._index) as temporary:
            temporary.write_text(json.dumps(ids), encoding="utf-8")
        if ids:
            _log.info("Computed %d of %d weight maps; the others are as before", computed, len(ids))

    def _exists(self) -> bool:
        return self._index.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}
