"""Image files to arrays, with one module for each family of formats.

A reader is a function `(file, max_pixels, *, indices) -> array` that returns the pixels as stored:
`(height, width)` or `(height, width, channels)`, at the source's bit depth, upright and without an
alpha channel. For an image with a palette it returns the indices if `indices` is true, otherwise
the colours. To add a format, add a function and an entry in `READERS`.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile

from unetflow.core.errors import DeclarationError, InputError
from unetflow.core.types import PixelArray
from unetflow.io.files import ReadableFile
from unetflow.io.formats.bounds import MAX_PIXELS, decoding_errors
from unetflow.io.formats.picture_files import read_jpeg, read_picture, read_png
from unetflow.io.formats.tiff import is_tiff, read_tiff

READERS: dict[str, Callable[..., PixelArray]] = {
    ".png": read_png,
    ".jpg": read_jpeg,
    ".jpeg": read_jpeg,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".gif": partial(read_picture, image_class=GifImageFile),
    ".bmp": partial(read_picture, image_class=BmpImageFile),
}
_LOSSY = (".jpg", ".jpeg")
_MAX_EXACT_FLOAT32 = 2**24


def is_image(name: str) -> bool:
    """Return whether a reader supports the extension of a file's name."""
    return name.lower().endswith(tuple(READERS))


def read_image(
    file: ReadableFile, max_pixels: int = MAX_PIXELS, page: int | None = None
) -> PixelArray:
    """Read an image `(height, width, channels)` from a PNG, JPEG, TIFF, GIF or BMP file.

    uint8 and uint16 are returned as stored, everything else as float32. `max_pixels`, the limit of
    width times height, is checked before decoding. `page` is the number of the image in a stack.

    Raises:
        InputError: The file cannot be read as such an image, or holds numbers that are not
            finite, or integers that float32 cannot represent.
    """
    return to_image(file, _read(file, max_pixels, page, indices=False))


def to_image(file: ReadableFile, pixels: PixelArray) -> PixelArray:
    """Return the pixels of a reader in the form of `read_image`, or raise its errors."""
    pixels = to_image_type(file, pixels)
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def to_image_type(where: object, pixels: PixelArray) -> PixelArray:
    """Return uint8 and uint16 unchanged, booleans as 0 and 255, others as `read_image` does."""
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
    """Read a mask `(height, width)`: one integer for each pixel, exactly as stored.

    A colour file is accepted if its channels are equal.

    Args:
        file: See `read_image`, like `max_pixels` and `page`.
        max_pixels: Limit of width times height.
        page: Number of the image.
        in_colour: Read colours, each as one integer with red in the highest of three bytes.
        soft: Whether the caller handles values between those of the classes.

    Raises:
        InputError: The file cannot be read as a mask.
    """
    pixels = _read(file, max_pixels, page, indices=not in_colour)
    if pixels.dtype == bool:
        pixels = to_image_type(file, pixels)
    if pixels.dtype.kind not in "iu":
        problem = f"the mask holds {pixels.dtype} numbers, perhaps probabilities"
        raise InputError(file, problem, "Save the mask as integers, one for each class")
    flat = _pack_colours(file, pixels) if in_colour else _drop_equal_channels(file, pixels)
    if file.suffix.lower() in _LOSSY and not soft and len(np.unique(flat)) > 2:
        fix = "Export the mask as PNG or TIFF from its source, or set `ingestion.masks.binarise_at`"
        raise InputError(file, "JPEG compression has changed the mask's values", fix)
    return flat


def _read(file: ReadableFile, max_pixels: int, page: int | None, *, indices: bool) -> PixelArray:
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        problem = f"the extension '{file.suffix}' is not one of {', '.join(READERS)}"
        raise InputError(file, problem, "Convert the file to PNG or TIFF")
    if page is not None and not is_tiff(file):
        raise InputError(file, "it holds no pages", "Use the layout `folders` for single images")
    of_stacks = {"page": page} if is_tiff(file) else {}
    with decoding_errors(file):
        pixels = reader(file, max_pixels, indices=indices, **of_stacks)
    if pixels.size == 0:
        raise InputError(file, "the image has no pixels", "Export it again from its source")
    return pixels


def _to_float32(where: object, pixels: PixelArray) -> NDArray[np.float32]:
    if np.issubdtype(pixels.dtype, np.integer):
        if max(-int(pixels.min()), int(pixels.max())) > _MAX_EXACT_FLOAT32:
            problem = f"its {pixels.dtype} numbers reach beyond 24 bits"
            raise InputError(where, problem, "Save it as 16 bit or float")
        return pixels.astype(np.float32)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise InputError(where, f"its pixels are {pixels.dtype}", "Save it as 8 or 16 bit or float")
    with np.errstate(over="ignore"):
        converted = pixels.astype(np.float32)
    wrong = int(np.count_nonzero(~np.isfinite(converted)))
    if wrong:
        problem = f"{wrong} of its numbers are NaN or infinite"
        raise InputError(where, problem, "Replace them, for example by 0, or leave the image out")
    return converted


def _drop_equal_channels(file: ReadableFile, pixels: PixelArray) -> NDArray[np.integer]:
    if pixels.ndim == 2:
        return cast(NDArray[np.integer], pixels)
    if not np.any(pixels != pixels[:, :, :1]):
        return cast(NDArray[np.integer], pixels[:, :, 0])
    if pixels.shape[2] != 3:
        fix = "Save the slices of a stack with axes ZYX, or a single mask with one grey value for "
        raise InputError(file, f"the mask has {pixels.shape[2]} channels", fix + "each class")
    raise DeclarationError(
        file,
        "the mask is in colour",
        "Write its colours as the `values` of all classes, the background too, as in "
        "'#ff0000', or save it with one grey value for each class",
    )


def _pack_colours(file: ReadableFile, pixels: PixelArray) -> NDArray[np.uint32]:
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
