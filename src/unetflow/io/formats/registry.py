"""Image files to arrays, one small module for each family of formats.

A reader is a function `(file, limit, *, page, indices) -> array` that returns the pixels as they
are stored: `(height, width)` or `(height, width, channels)`, at the source's bit depth, upright,
and without an alpha channel. Of an image with a palette it returns the indices if `indices` is
true, else the colours. A new format is one module and one line in `READERS`.
"""

from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import DeclarationError, InputError
from unetflow.io.files import FileInMemory, ReadableFile
from unetflow.io.formats.bounds import (
    MAX_PIXELS,
    detect_format,
    explain_damage,
)
from unetflow.io.formats.pillow import (
    read_bmp,
    read_gif,
    read_jpeg,
)
from unetflow.io.formats.png import read_png
from unetflow.io.formats.tiff import count_pages, read_tiff

__all__ = [
    "LOSSY",
    "MAX_PIXELS",
    "READERS",
    "count_pages",
    "is_image",
    "read_image",
    "read_image_bytes",
    "read_mask",
    "to_image_type",
]


class Reader(Protocol):
    """What a reader looks like."""

    def __call__(
        self, file: ReadableFile, max_pixels: int, *, page: int | None, indices: bool
    ) -> NDArray[np.generic]:
        """Read the pixels of a file."""


READERS: dict[str, Reader] = {
    ".png": read_png,
    ".jpg": read_jpeg,
    ".jpeg": read_jpeg,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".gif": read_gif,
    ".bmp": read_bmp,
}
LOSSY = (".jpg", ".jpeg")
"""Endings of formats that change pixel values."""
_ENDINGS = tuple(READERS)
_EXACT_IN_FLOAT32 = 2**24


def is_image(name: str) -> bool:
    """Tell whether the ending of a file's name is one that a reader knows."""
    return name.lower().endswith(_ENDINGS)


def read_image(
    file: ReadableFile, max_pixels: int = MAX_PIXELS, page: int | None = None
) -> NDArray[np.generic]:
    """Read an image of any number of channels at its own bit depth.

    Args:
        file: A PNG, JPEG, TIFF, GIF or BMP file.
        max_pixels: Width times height that the file's header may claim.
        page: Which image of a file that holds several.

    Returns:
        `(height, width, channels)`; uint8 and uint16 as they are, everything else as float32.

    Raises:
        InputError: The file cannot be read as such an image, or holds numbers that are not
            finite, or whole ones that float32 cannot hold.
    """
    pixels = to_image_type(file, _read(file, max_pixels, page, indices=False))
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def read_image_bytes(name: str, data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.generic]:
    """Read an image out of a file's bytes; how they begin tells the format.

    Args:
        name: What messages call it.
        data: The bytes of a file as in `read_image`.
        max_pixels: Width times height that the file's header may claim.

    Returns:
        As `read_image`.

    Raises:
        InputError: See `read_image`.
    """
    kind, endings = detect_format(data[:8])
    if not endings:
        what = f"it is {kind}" if kind else "it begins like no format that is known"
        raise InputError(name, what if data else "it is empty", "Give a PNG or TIFF file")
    return read_image(FileInMemory(name, endings[0], data), max_pixels)


def to_image_type(where: object, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return uint8 and uint16 as they are, booleans as 0 and 255, everything else as float32.

    Raises:
        InputError: See `read_image`.
    """
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * np.uint8(255)
    return pixels if pixels.dtype in (np.uint8, np.uint16) else _to_float32(where, pixels)


def read_mask(
    file: ReadableFile,
    max_pixels: int = MAX_PIXELS,
    page: int | None = None,
    *,
    in_colour: bool = False,
    soft: bool = False,
) -> NDArray[np.integer]:
    """Read a mask: one whole number for each pixel, exactly as stored.

    Args:
        file: A file as in `read_image`. A colour file passes when its channels are equal.
        max_pixels: Width times height that the file's header may claim.
        page: Which image of a file that holds several.
        in_colour: Read colours, as one number each: red in the highest of three bytes.
        soft: Whether values between those of the classes are expected and dealt with.

    Returns:
        `(height, width)` of an integer type.

    Raises:
        InputError: The file cannot be read as a mask.
    """
    pixels = _read(file, max_pixels, page, indices=not in_colour)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype.kind not in "iu":
        raise InputError(
            file,
            f"the mask holds {pixels.dtype} numbers, perhaps probabilities",
            "Save the mask as whole numbers, one for each class",
        )
    flat = _pack_colours(file, pixels) if in_colour else _drop_equal_channels(file, pixels)
    if file.suffix.lower() in LOSSY and not soft and len(np.unique(flat)) > 2:
        raise InputError(
            file,
            "JPEG compression has changed the mask's values",
            "Export the mask as PNG or TIFF from its source, or set `ingestion.masks.threshold`",
        )
    return flat


def _read(
    file: ReadableFile, max_pixels: int, page: int | None, *, indices: bool
) -> NDArray[np.generic]:
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise InputError(
            file,
            f"the ending '{file.suffix}' is not one of {', '.join(READERS)}",
            "Convert the file to PNG or TIFF",
        )
    try:
        pixels = reader(file, max_pixels, page=page, indices=indices)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(file, "the file does not exist", "Check the path") from error
    except PermissionError as error:
        raise InputError(file, "the file may not be read", "Give yourself the right") from error
    except MemoryError as error:
        raise InputError(file, "the file does not fit into memory", "Cut it into parts") from error
    except Exception as error:  # decoders raise anything on damaged bytes, struct.error included
        raise InputError(file, *explain_damage(file, error)) from error
    if pixels.size == 0:
        raise InputError(file, "the image has no pixels", "Export it again from its source")
    return pixels


def _to_float32(where: object, pixels: NDArray[np.generic]) -> NDArray[np.float32]:
    if np.issubdtype(pixels.dtype, np.integer):
        if max(-int(pixels.min()), int(pixels.max())) > _EXACT_IN_FLOAT32:
            raise InputError(
                where,
                f"its {pixels.dtype} numbers reach beyond 24 bits",
                "Save it as 16 bit or float",
            )
        return pixels.astype(np.float32)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise InputError(where, f"its pixels are {pixels.dtype}", "Save it as 8 or 16 bit or float")
    with np.errstate(over="ignore"):
        converted = pixels.astype(np.float32)
    wrong = int(np.count_nonzero(~np.isfinite(converted)))
    if wrong:
        raise InputError(
            where,
            f"{wrong} of its numbers are NaN or infinite",
            "Replace them, for example by 0, or leave the image out",
        )
    return converted


def _drop_equal_channels(file: ReadableFile, pixels: NDArray[np.generic]) -> NDArray[np.integer]:
    if pixels.ndim == 3:
        channels = pixels.shape[2]
        if np.any(pixels != pixels[:, :, :1]):
            if channels != 3:
                raise InputError(
                    file,
                    f"the mask has {channels} channels",
                    "If they are the slices of a stack, save it with axes ZYX; else save the mask "
                    "with one grey value for each class",
                )
            raise DeclarationError(
                file,
                "the mask is in colour",
                "Write its colours as the `values` of all classes, the background too, as in "
                "'#ff0000', or save it with one grey value for each class",
            )
        pixels = pixels[:, :, 0]
    return cast(NDArray[np.integer], pixels)


def _pack_colours(file: ReadableFile, pixels: NDArray[np.generic]) -> NDArray[np.uint32]:
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, np.newaxis], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.shape[2] != 3:
        raise InputError(
            file,
            f"`classes` gives colours, but it has {pixels.shape[2]} channels in {pixels.dtype}",
            "Save it as 8-bit RGB or with a palette",
        )
    red, green, blue = np.moveaxis(pixels.astype(np.uint32), 2, 0)
    packed: NDArray[np.uint32] = red << 16 | green << 8 | blue
    return packed
