"""The list of all samples of a folder, `index.json`."""

import json
from pathlib import Path
from typing import Any

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError, restore_error
from unetflow.data.samples import INDEX, RejectedPair, SampleFolder


def read_samples(folder: Path) -> SampleFolder:
    """List the samples of a folder; their pixels are read on access.

    Args:
        folder: Holds the index, and a folder for each sample.

    Raises:
        FileNotFoundError: There is no index.
        ValueError, KeyError, TypeError: It is damaged, or of another version.
    """
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    return SampleFolder(
        folder,
        {description["id"]: description for description in index["samples"]},
        [restore_error(**error) for error in index.get("left_out", [])],
        [
            RejectedPair(pair["id"], pair["stamp"], restore_error(**pair["error"]))
            for pair in index["refused"]
        ],
    )


def write_index(samples: SampleFolder) -> None:
    """Replace the index of a folder in one step."""
    index = {
        "samples": list(samples.descriptions.values()),
        "left_out": [_plain(error) for error in samples.left_out],
        "refused": [
            {"id": pair.id, "stamp": pair.signature, "error": _plain(pair.error)}
            for pair in samples.rejected
        ],
    }
    with atomic_write(samples.folder / INDEX) as temporary:
        temporary.write_text(json.dumps(index), encoding="utf-8")


def _plain(error: InputError) -> dict[str, Any]:
    return {part: getattr(error, part) for part in ("kind", "where", "problem", "fix")}
