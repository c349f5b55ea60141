"""Image files to arrays, one small module for each family of formats.

A reader is a function `(path, max_pixels, *, indices) -> array` that returns the pixels as they are
stored: `(height, width)` or `(height, width, channels)`, at the source's bit depth. Of an image
with a palette it returns the indices if `indices` is true, else the colours. A new format is one
module and one line in `READERS`.
"""

from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.readers.raster import read_jpeg, read_png
from unetflow.imaging.readers.tiff import read_tiff


class Reader(Protocol):
    """What a reader looks like."""

    def __call__(self, path: Path, max_pixels: int, *, indices: bool) -> NDArray[np.generic]:
        """Read the pixels of a file."""


READERS: dict[str, Reader] = {
    ".png": read_png,
    ".jpg": read_jpeg,
    ".jpeg": read_jpeg,
    ".tif": read_tiff,
    ".tiff": read_tiff,
}
LOSSY = (".jpg", ".jpeg")
"""Endings of formats that change pixel values."""
MAX_PIXELS = 400_000_000
"""Pixels that an image may have before it is refused unread: 20,000 x 20,000."""


def is_image(path: Path) -> bool:
    """Tell whether a file's ending is one that a reader knows."""
    return path.suffix.lower() in READERS


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> NDArray[np.generic]:
    """Read a grey or colour image at its own bit depth.

    Args:
        path: A PNG, JPEG or TIFF file.
        max_pixels: Width times height that the file's header may claim.

    Returns:
        `(height, width, channels)`, uint8 or uint16, 1 or 3 channels.

    Raises:
        InputError: The file cannot be read as such an image.
    """
    pixels = _read(path, max_pixels, indices=False)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(
            path,
            f"the pixels are {pixels.dtype}, which is neither 8 nor 16 bit unsigned",
            "Save it as 8 or 16 bit",
        )
    if pixels.ndim == 2:
        return pixels[:, :, np.newaxis]
    if pixels.shape[2] in (2, 4):
        pixels = _drop_constant_alpha(path, pixels)
    if pixels.shape[2] not in (1, 3):
        raise InputError(
            path,
            f"it has {pixels.shape[2]} channels",
            "Save it as grey (1 channel) or RGB (3 channels)",
        )
    return pixels


def read_mask(path: Path, max_pixels: int = MAX_PIXELS) -> NDArray[np.integer]:
    """Read a mask: one whole number for each pixel, exactly as stored.

    Args:
        path: A PNG, JPEG or TIFF file. A colour file passes when its channels are equal.
        max_pixels: Width times height that the file's header may claim.

    Returns:
        `(height, width)` of an integer type.

    Raises:
        InputError: The file cannot be read as a mask.
    """
    pixels = _read(path, max_pixels, indices=True)
    if pixels.ndim == 3:
        if pixels.shape[2] in (2, 4):
            pixels = _drop_constant_alpha(path, pixels)
        if np.any(pixels != pixels[:, :, :1]):
            raise InputError(
                path,
                "the mask is in colour",
                "Save the mask with one grey value for each class",
            )
        pixels = pixels[:, :, 0]
    if not np.issubdtype(pixels.dtype, np.integer):
        raise InputError(
            path,
            f"the mask holds {pixels.dtype} numbers, perhaps probabilities",
            "Save the mask as whole numbers, one for each class",
        )
    if path.suffix.lower() in LOSSY and len(np.unique(pixels)) > 2:
        raise InputError(
            path,
            "JPEG compression has changed the mask's values",
            "Export the mask as PNG or TIFF from its source",
        )
    return cast(NDArray[np.integer], pixels)


def _read(path: Path, max_pixels: int, *, indices: bool) -> NDArray[np.generic]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            path,
            f"the ending '{path.suffix}' is not one of {', '.join(READERS)}",
            "Convert the file to PNG or TIFF",
        )
    try:
        pixels = reader(path, max_pixels, indices=indices)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(path, "the file does not exist", "Check the path") from error
    except MemoryError as error:
        raise InputError(path, "the file does not fit into memory", "Cut it into parts") from error
    except Exception as error:  # decoders raise anything on damaged bytes, struct.error included
        raise InputError(
            path,
            f"the file cannot be decoded ({type(error).__name__}: {error})",
            "Export it again from its source",
        ) from error
    if pixels.size == 0:
        raise InputError(path, "the image has no pixels", "Export it again from its source")
    return pixels


def _drop_constant_alpha(path: Path, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    alpha = pixels[:, :, -1]
    if np.any(alpha != alpha[0, 0]):
        raise InputError(
            path,
            f"it has {pixels.shape[2]} channels, and the last one, the alpha channel of a picture, "
            "is not constant",
            "Save it as grey or RGB; a picture can be flattened",
        )
    return pixels[:, :, :-1]
