"""The canonical samples as a catalog entry."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from unetflow.imaging.errors import InputError
from unetflow.imaging.files import replacing, require_file
from unetflow.imaging.samples import Sample, SampleFolder, write_sample


class SamplesDataset(AbstractDataset[Mapping[str, Callable[[], Sample]], SampleFolder]):
    """A folder with `<id>/image.tif` and `<id>/label.tif` for each sample.

    Samples are saved from functions, one at a time, so that memory does not grow with their
    number. A function that raises an `InputError` makes no sample; its reason is kept. The list of
    all samples, `index.json`, is taken away first and written last: a folder whose saving was
    interrupted has no samples, rather than some old and some new ones.

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
        index = json.loads(self._index.read_text(encoding="utf-8"))
        refused = [InputError(**error) for error in index["refused"]]
        return SampleFolder(self._path, index["ids"], refused)

    def save(self, data: Mapping[str, Callable[[], Sample]]) -> None:
        """Make and write the samples, and remove those of before that are no longer listed."""
        before = set(self.load()) if self._exists() else set()
        self._index.unlink(missing_ok=True)
        ids, refused = [], []
        for sample_id, make_sample in data.items():
            try:
                sample = make_sample()
            except InputError as error:
                refused.append(error)
                continue
            write_sample(self._path / sample_id, sample)
            ids.append(sample_id)
        index = {
            "ids": ids,
            "refused": [{"where": e.where, "problem": e.problem, "mend": e.mend} for e in refused],
        }
        with replacing(self._index) as temporary:
            temporary.write_text(json.dumps(index, indent=1), encoding="utf-8")
        for sample_id in before - set(ids):
            for name in ("image.tif", "label.tif"):
                (self._path / sample_id / name).unlink(missing_ok=True)

    def _exists(self) -> bool:
        return self._index.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}
