"""The canonical samples as a catalog entry."""

import json
import logging
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError, restore_error
from unetflow.data.sample_builder import (
    BuildResult,
    RejectedPair,
    SampleSources,
    build_samples,
)
from unetflow.data.samples import SampleFolder
from unetflow.io.files import require_file

_log = logging.getLogger(__name__)


class SamplesDataset(AbstractDataset[SampleSources, SampleFolder]):
    """A folder with `image.tif`, `label.tif` and more in `<id>/` for each sample.

    Saving reads the sources of an intake a few at a time, so that memory does not grow with their
    number, and only those that are new or have changed. A pair that cannot be read makes no
    sample; its reason is kept. The list of all samples, `index.json`, is taken away first and
    written last: a folder whose saving was interrupted has no samples, rather than some old and
    some new ones.

    Args:
        path: The folder.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(path)
        self._index = self._path / "index.json"
        self.metadata = metadata

    def load(self) -> SampleFolder:
        """List the samples; their pixels are read when they are asked for."""
        require_file(self._index)
        index = self._read_index()
        left_out = [restore_error(**error) for error in index.get("left_out", [])]
        refused = [*left_out, *(refusal.error for refusal in _refusals(index))]
        descriptions = {description["id"]: description for description in index["samples"]}
        return SampleFolder(self._path, descriptions, refused)

    def save(self, data: SampleSources) -> None:
        """Bring the samples up to date, and remove those that are no longer listed."""
        try:
            refused_before = _refusals(self._read_index())
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or an old form
            refused_before = []
        self._index.unlink(missing_ok=True)
        taken = build_samples(self._path, data, refused_before)
        index = {
            "samples": list(taken.descriptions.values()),
            "left_out": [_plain(error) for error in data.refused],
            "refused": [
                {"id": r.id, "stamp": r.signature, "error": _plain(r.error)} for r in taken.refused
            ],
        }
        with atomic_write(self._index) as temporary:
            temporary.write_text(json.dumps(index), encoding="utf-8")
        _log.info(_summarise(taken))

    def _read_index(self) -> dict[str, Any]:
        index: dict[str, Any] = json.loads(self._index.read_text(encoding="utf-8"))
        return index

    def _exists(self) -> bool:
        return self._index.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}


def _refusals(index: dict[str, Any]) -> list[RejectedPair]:
    return [
        RejectedPair(r["id"], r["stamp"], restore_error(**r["error"])) for r in index["refused"]
    ]


def _plain(error: InputError) -> dict[str, str]:
    parts = ("kind", "where", "problem", "fix")
    return {part: getattr(error, part) for part in parts}


def _summarise(taken: BuildResult) -> str:
    total = len(taken.descriptions) + len(taken.refused)
    gone = f"; {taken.removed} samples of before are gone" if taken.removed else ""
    if not taken.decoded:
        return f"Nothing has changed: none of {total} pairs was decoded{gone}"
    unchanged = total - taken.decoded
    return (
        f"Decoded {taken.decoded} new or changed of {total} pairs; {unchanged} are as before{gone}"
    )
