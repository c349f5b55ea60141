"""Images as catalog entries."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from kedro.io import AbstractDataset, DatasetError
from numpy.typing import NDArray
from PIL import Image

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.datasets.one_file import OneFileDataset
from unetflow.io.file_listing import list_files, natural_order
from unetflow.io.files import File
from unetflow.io.formats.bounds import MAX_PIXELS
from unetflow.io.formats.registry import READERS, is_image, read_image
from unetflow.io.image_file import ImageFile
from unetflow.io.tiff_writer import write_tiff

_log = logging.getLogger(__name__)

_ZARR = ".zarr"

Pixels = NDArray[np.generic]


class ImageFileDataset(OneFileDataset[Pixels, Pixels]):
    """One 8 or 16 bit image, `(height, width)` or `(height, width, 3)`, as PNG or TIFF.

    A TIFF may hold float32 too.

    Args:
        filepath: The file; its ending decides the format. A TIFF is compressed without loss.
        metadata: Anything; Kedro ignores it.
    """

    def load(self) -> Pixels:
        """Read the image; one channel comes back as `(height, width)`."""
        pixels = read_image(self._filepath)
        return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels

    def save(self, data: Pixels) -> None:
        """Replace the file in one step."""
        if self._filepath.suffix.lower() in (".tif", ".tiff"):
            write_tiff(self._filepath, data, compression="zlib")
            return
        with atomic_write(self._filepath) as temporary:
            Image.fromarray(data).save(temporary, format="PNG")


class ImageFolderDataset(AbstractDataset[NoReturn, dict[str, ImageFile]]):
    """All images of a folder and its subfolders, each read when it is asked for.

    A folder whose name ends in `.zarr` is one image.

    Args:
        path: The folder, or a zip archive.
        max_pixels: Width times height above which an image is refused unread.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(
        self, *, path: str, max_pixels: int = MAX_PIXELS, metadata: dict[str, Any] | None = None
    ) -> None:
        self._path = Path(path)
        self._max_pixels = max_pixels
        self.metadata = metadata

    def load(self) -> dict[str, ImageFile]:
        """Return each image unread.

        The names are the paths below the folder without the ending, which stays where two images
        would otherwise have one name.
        """
        if self._path.is_dir() and self._path.suffix.lower() == _ZARR:
            return {self._path.stem: ImageFile(self._path)}
        tree = list_files(self._path)
        for error in tree.refused:
            _log.warning("Left out %s", error)
        found: dict[str, File] = {}
        for name, file in tree.files.items():
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

    def save(self, data: NoReturn) -> None:
        """Refuse: the folder is the user's."""
        raise DatasetError(f"{self._path} is only read.")

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}


def _zarr_folder(name: str) -> str | None:
    """Return the path of the Zarr folder that a file lies in; None where it lies in none."""
    parts = name.split("/")[:-1]
    ends = [number for number, part in enumerate(parts, 1) if part.lower().endswith(_ZARR)]
    return "/".join(parts[: ends[0]]) if ends else None
