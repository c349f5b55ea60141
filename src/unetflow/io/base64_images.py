"""Images and masks in JSON: files in base64, or nested lists of numbers."""

import base64

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import PixelArray
from unetflow.io.files import FileInMemory
from unetflow.io.formats.bounds import detect_format
from unetflow.io.formats.readers import read_image

MAX_RECEIVED_PIXELS = 2**26
"""Limit for received images, 8192 x 8192: a file of some kilobytes can claim billions."""
_MAX_PNG = 2**16 - 1
"""Highest grey value of a PNG file (ISO/IEC 15948:2004, 11.2.2)."""
_JSON_TYPES = (np.int64, np.float64)
"""Types of NumPy arrays of JSON's numbers, which have no type themselves."""


def decode_image(name: str, text: str, max_pixels: int = MAX_RECEIVED_PIXELS) -> PixelArray:
    """Read an image as `read_image` does from a file in base64, with or without line breaks.

    The beginning of the file determines its format. `name` is for messages.

    Raises:
        InputError: It is not base64, not such a file, damaged, or too large.
    """
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        problem = f"it is not base64 ({error})"
        raise InputError(name, problem, "Send the bytes of an image file in base64") from error
    kind, extensions = detect_format(data[:8])
    if not extensions:
        what = f"it is {kind}" if kind else "its format is not known"
        raise InputError(name, what if data else "it is empty", "Give a PNG or TIFF file")
    return read_image(FileInMemory(name, extensions[0], data), max_pixels)


def encode_numbers(name: str, numbers: NDArray[np.unsignedinteger]) -> str:
    """Return class indices or the numbers of objects as a grey PNG file in base64.

    Args:
        name: For messages.
        numbers: `(height, width)`; uint8 gives a file of 8 bits, other types one of 16 bits.

    Raises:
        InputError: 16 bits cannot hold a number; PNG has no more.
    """
    if numbers.dtype != np.uint8:
        highest = int(numbers.max(initial=0))
        if highest > _MAX_PNG:
            raise InputError(
                name,
                f"it has {highest:,} objects, and a PNG file can number {_MAX_PNG:,}",
                "Send a part of the image, or an array instead of a file",
            )
        numbers = numbers.astype(np.uint16)
    return base64.b64encode(imagecodecs.png_encode(numbers)).decode("ascii")


def restore_type(name: str, numbers: PixelArray, dtype: str) -> PixelArray:
    """Convert numbers from JSON, of any shape, to the data type of the training images.

    Numbers of another type than JSON's are returned unchanged. `name` is for messages.

    Raises:
        InputError: The type cannot represent one of the numbers.
    """
    wanted = np.dtype(dtype)
    if numbers.dtype == wanted or numbers.dtype not in _JSON_TYPES:
        return numbers
    with np.errstate(invalid="ignore", over="ignore"):
        restored: PixelArray = numbers.astype(wanted)
    fix = "Send finite numbers, as in the image's file"
    if wanted.kind in "iu":
        limits = np.iinfo(wanted)
        fix = f"Send integers from {limits.min} to {limits.max}, as in the image's file"
    # Float32 rounds most numbers; integers must be exact.
    wrong = restored != numbers if wanted.kind in "iu" else ~np.isfinite(restored)
    if not wrong.any():
        return restored
    raise InputError(
        name,
        f"{np.count_nonzero(wrong)} of its numbers, such as {numbers[wrong][0]}, are not "
        f"{wanted} intensities",
        fix,
    )
