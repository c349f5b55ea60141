"""An image that lies in a file: what can be asked of it without reading it, and its pixels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.io.files import File
from unetflow.io.formats.bounds import MAX_PIXELS
from unetflow.io.formats.registry import read_image
from unetflow.io.formats.tiff import open_tiff
from unetflow.io.large_image import open_large
from unetflow.io.lazy_image import LazyImage
from unetflow.io.pixel_size import PixelSize, read_pixel_size
from unetflow.io.zarr_image import read_zarr_pixel_size

_TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class ImageFile:
    """An image that is read when it is asked for; another process can be given it.

    Attributes:
        file: Where it lies; the folder of a Zarr array or of an OME-Zarr image can only be opened
            as a large one.
        max_pixels: Width times height above which it is refused unread, unless it is opened as a
            large one.
        page: Which image of a file that holds several.
    """

    file: File
    max_pixels: int = MAX_PIXELS
    page: int | None = None

    def read(self) -> NDArray[np.generic]:
        """Read the pixels `(height, width, channels)`; see `readers.read_image`."""
        return read_image(self.file, self.max_pixels, self.page)

    def open_if_large(self, from_pixels: int) -> LazyImage | None:
        """Open an image of which windows are better read than the whole.

        A TIFF file that `read` would accept, but of which no windows can be read, is none.

        Args:
            from_pixels: Width times height from which on a TIFF file is large. A Zarr folder
                always is, and other formats, and what lies in an archive, never.

        Returns:
            The image, to be closed; None where it should be read.

        Raises:
            InputError: It is large, and cannot be opened.
        """
        if not isinstance(self.file, Path) or self.page is not None:
            return None
        if self.file.is_dir():
            return open_large(self.file)
        pixels = _count_pixels(self.file)
        if pixels < from_pixels:
            return None
        try:
            return open_large(self.file)
        except InputError:
            if pixels > self.max_pixels:
                raise
            return None

    def read_pixel_size(self) -> PixelSize | None:
        """Read the size of a pixel; None where the file does not say it, or not so that it counts.

        A file whose pixels can be read is not refused for what it says of their size.
        """
        try:
            if isinstance(self.file, Path) and self.file.is_dir():
                return read_zarr_pixel_size(self.file)
            return read_pixel_size(self.file)
        except InputError:
            return None


def _count_pixels(path: Path) -> int:
    """Return width times height by the header of a TIFF file; 0 where reading will tell why."""
    if path.suffix.lower() not in _TIFF:
        return 0
    try:
        with open_tiff(path, keep=False) as tiff:
            header = tiff.pages.first
            return int(header.imagewidth * header.imagelength)
    except Exception:  # tifffile raises anything on damaged bytes
        return 0
