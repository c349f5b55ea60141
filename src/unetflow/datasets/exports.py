"""Finished models in the formats of other programs, as catalog entries."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from unetflow.datasets.one_file import WrittenFileDataset

if TYPE_CHECKING:
    from unetflow.inference.bioimageio.package import BioimageioPackage
    from unetflow.inference.segmenter import Segmenter
    from unetflow.inference.segmenter_files import Exported


class ExportsDataset(
    AbstractDataset["Mapping[str, Exported]", "dict[str, Callable[[], Segmenter]]"]
):
    """A segmenter for several runtimes, a file each.

    Args:
        path: The folder, which holds nothing else.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(path)
        self.metadata = metadata

    def load(self) -> "dict[str, Callable[[], Segmenter]]":
        """Return for each export by its name a function that makes it ready to predict."""
        from unetflow.inference.segmenter import Segmenter

        return {file.stem: partial(Segmenter.load, file) for file in self._files()}

    def save(self, data: "Mapping[str, Exported]") -> None:
        """Write them, and remove those of an earlier model."""
        for name, exported in data.items():
            exported.write(self._path / f"{name}.zip")
        for file in self._files():
            if file.stem not in data:
                file.unlink()

    def _files(self) -> list[Path]:
        return sorted(file for file in self._path.glob("*.zip") if not file.name.startswith("."))

    def _exists(self) -> bool:
        return bool(self._files())

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}


class BioimageioPackageDataset(WrittenFileDataset["BioimageioPackage"]):
    """A model's package for bioimage.io and the programs that read its format.

    Args:
        filepath: The zip archive.
        metadata: Anything; Kedro ignores it.
    """

    def save(self, data: "BioimageioPackage") -> None:
        """Replace the file in one step."""
        data.save(self._filepath)
