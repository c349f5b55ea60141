"""Folders of images that a run reads."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

from unetflow.core.errors import InputError
from unetflow.datasets.read_only import RAW, ReadOnlyDataset
from unetflow.io.file_listing import list_files, natural_order
from unetflow.io.files import File
from unetflow.io.formats.bounds import MAX_PIXELS
from unetflow.io.formats.readers import READERS, is_image
from unetflow.io.image_file import ImageFile

_log = logging.getLogger(__name__)

_ZARR = ".zarr"


class ImageFolderDataset(ReadOnlyDataset[dict[str, ImageFile]]):
    """All images of a folder and its subfolders, each read on access.

    A folder whose name ends in `.zarr` is one image.

    Args:
        path: The folder, or a zip archive.
        max_pixels: Width times height above which an image is refused unread.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(
        self, *, path: str, max_pixels: int = MAX_PIXELS, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(metadata=metadata or RAW)
        self._path = Path(path)
        self._max_pixels = max_pixels

    def load(self) -> dict[str, ImageFile]:
        """Return each image unread.

        The names are the paths below the folder without the ending, which stays where two images
        would otherwise have one name.
        """
        if self._path.is_dir() and self._path.suffix.lower() == _ZARR:
            return {self._path.stem: ImageFile(self._path)}
        listing = list_files(self._path)
        for error in listing.refused:
            _log.warning("Left out %s", error)
        found: dict[str, File] = {}
        for name, file in listing.files.items():
            folder = _zarr_folder(name)
            if folder is None and is_image(name):
                found[name] = file
            elif folder is not None and self._path.is_dir():
                found[folder] = self._path / folder
        if not found:
            raise InputError(
                self._path,
                f"it holds no image ({', '.join(READERS)}, {_ZARR})",
                "Put images there, or correct the path",
            )
        names = sorted(found, key=natural_order)
        stems = Counter(name.rpartition(".")[0] for name in names)
        return {
            name if stems[stem] > 1 else stem: ImageFile(found[name], self._max_pixels)
            for name in names
            for stem in [name.rpartition(".")[0]]
        }

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}


def _zarr_folder(name: str) -> str | None:
    """Return the path of the Zarr folder that holds a file; None where there is none."""
    parts = name.split("/")[:-1]
    ends = [number for number, part in enumerate(parts, 1) if part.lower().endswith(_ZARR)]
    return "/".join(parts[: ends[0]]) if ends else None
