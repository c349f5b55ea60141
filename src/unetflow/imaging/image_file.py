"""An image that lies in a file: what can be asked of it without reading it, and its pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.files import File
from unetflow.imaging.objects import PixelSize, read_pixel_size
from unetflow.imaging.readers import MAX_PIXELS, read_image


@dataclass(frozen=True)
class ImageFile:
    """An image that is read when it is asked for; another process can be given it.

    Attributes:
        file: Where it lies.
        max_pixels: Width times height above which it is refused unread.
        page: Which image of a file that holds several.
    """

    file: File
    max_pixels: int = MAX_PIXELS
    page: int | None = None

    def read(self) -> NDArray[np.generic]:
        """Read the pixels `(height, width, channels)`; see `readers.read_image`."""
        return read_image(self.file, self.max_pixels, self.page)

    def read_pixel_size(self) -> PixelSize | None:
        """Read the size of a pixel; None where the file does not say it, or not so that it counts.

        A file whose pixels can be read is not refused for what it says of their size.
        """
        try:
            return read_pixel_size(self.file)
        except InputError:
            return None
