"""Handle of an image in a file, which is opened once and read whole or by windows."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.io.files import File
from unetflow.io.formats.bounds import MAX_PIXELS, decoding_errors
from unetflow.io.formats.readers import read_image, to_image
from unetflow.io.formats.tiff import decode_tiff, is_tiff, open_tiff
from unetflow.io.large_image import open_large
from unetflow.io.lazy_image import LazyImage
from unetflow.io.pixel_size import PixelSize, find_pixel_size
from unetflow.io.tiff_image import as_lazy_image


@dataclass(frozen=True)
class WholeImage:
    """An image in memory.

    Attributes:
        pixels: `(height, width, channels)`; see `read_image`.
        pixel_size: The size of a pixel; None if unknown.
    """

    pixels: NDArray[np.generic]
    pixel_size: PixelSize | None = None


@dataclass(frozen=True)
class ImageFile:
    """An image that is not opened yet; it can be sent to another process.

    Attributes:
        file: The file, or the folder of a Zarr array or OME-Zarr image, which is always large.
        max_pixels: Limit of width times height of an image that is read whole.
        page: Number of the image in a file that holds several.
    """

    file: File
    max_pixels: int = MAX_PIXELS
    page: int | None = None

    @overload
    def open(self) -> WholeImage: ...

    @overload
    def open(self, large_from: int) -> WholeImage | LazyImage: ...

    def open(self, large_from: int | None = None) -> WholeImage | LazyImage:
        """Open the image, and read it unless it is large.

        Args:
            large_from: Width times height from which a TIFF file is large. Images of other formats
                and in archives never are. A TIFF file that cannot be read by windows is read whole
                if `max_pixels` allows. None: the image is read whole.

        Returns:
            The pixels, or an image to be read by windows and then closed.

        Raises:
            InputError: It cannot be read.
        """
        if large_from is not None and isinstance(self.file, Path) and self.file.is_dir():
            return open_large(self.file)
        if not is_tiff(self.file):
            return WholeImage(self.read())
        with decoding_errors(self.file), ExitStack() as stack:
            tiff = stack.enter_context(open_tiff(self.file, keep=self.page is not None))
            lazy = self._open_windows(tiff, stack, large_from)
            if lazy is not None:
                return lazy
            pixels = to_image(self.file, decode_tiff(self.file, tiff, self.max_pixels, self.page))
            return WholeImage(pixels, find_pixel_size(tiff))

    def read(self) -> NDArray[np.generic]:
        """Read the pixels `(height, width, channels)`; see `read_image`."""
        return read_image(self.file, self.max_pixels, self.page)

    def is_large(self, large_from: int) -> bool:
        """Return whether `open` would give an image to be read by windows; no pixel is read.

        Raises:
            InputError: It is large, and cannot be opened.
        """
        if not isinstance(self.file, Path) or not (self.file.is_dir() or is_tiff(self.file)):
            return False
        if self.file.is_dir():
            open_large(self.file).close()
            return True
        try:
            with ExitStack() as stack:
                tiff = stack.enter_context(open_tiff(self.file, keep=False))
                lazy = self._open_windows(tiff, stack, large_from)
        except InputError:
            raise
        except Exception:  # reading the image gives the error
            return False
        if lazy is not None:
            lazy.close()
        return lazy is not None

    def _open_windows(
        self, tiff: tifffile.TiffFile, stack: ExitStack, large_from: int | None
    ) -> LazyImage | None:
        """Return an image that takes over the opened file, or None if it is to be read whole."""
        if large_from is None or not isinstance(self.file, Path) or self.page is not None:
            return None
        header = tiff.pages.first
        pixels = int(header.imagewidth * header.imagelength)
        if pixels < large_from:
            return None
        try:
            with decoding_errors(self.file):
                return as_lazy_image(self.file, tiff, stack)
        except InputError:
            if pixels > self.max_pixels:
                raise
            return None
