"""Images and masks as they travel in JSON: files in base64, or nested lists of numbers."""

import base64

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import Label
from unetflow.io.formats.registry import read_image_bytes

MAX_RECEIVED_PIXELS = 2**26
"""Pixels of a received image, 8192 x 8192: a file of some kilobytes may claim as many."""

_TYPES_OF_JSON = (np.int64, np.float64)
"""What NumPy makes of JSON's numbers, whatever type they had where they come from."""


def decode_image(
    name: str, text: str, max_pixels: int = MAX_RECEIVED_PIXELS
) -> NDArray[np.generic]:
    """Read an image out of a file in base64; one that claims more than is allowed stays packed.

    Args:
        name: What messages call it.
        text: The bytes of a PNG, JPEG, TIFF, GIF or BMP file in base64; line breaks may be in it.
        max_pixels: Width times height that the file's header may claim.

    Returns:
        `(height, width, channels)`, as `readers.read_image`.

    Raises:
        InputError: It is no base64, no such file, a damaged one, or too large.
    """
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise InputError(
            name, f"it is no base64 text ({error})", "Send the bytes of an image file in base64"
        ) from error
    return read_image_bytes(name, data, max_pixels)


def encode_mask(label: Label) -> str:
    """Return class indices as a PNG file of 8-bit grey in base64."""
    return base64.b64encode(imagecodecs.png_encode(label)).decode("ascii")


def restore_type(name: str, numbers: NDArray[np.generic], dtype: str) -> NDArray[np.generic]:
    """Give numbers that came in JSON the type that they had before.

    Args:
        name: What messages call them.
        numbers: Of any shape. Of other types than those that JSON becomes, they stay as they are.
        dtype: The type that the network was trained on.

    Raises:
        InputError: One of them is no number of that type.
    """
    wanted = np.dtype(dtype)
    if numbers.dtype == wanted or numbers.dtype not in _TYPES_OF_JSON:
        return numbers
    with np.errstate(invalid="ignore", over="ignore"):
        restored: NDArray[np.generic] = numbers.astype(wanted)
    # Float32 rounds most numbers; whole ones must stay what they are.
    wrong = restored != numbers if wanted.kind in "iu" else ~np.isfinite(restored)
    if not wrong.any():
        return restored
    if wanted.kind in "iu":
        limits = np.iinfo(wanted)
        fix = f"Send whole numbers from {limits.min} to {limits.max}, as the image's file has them"
    else:
        fix = "Send finite numbers, as the image's file has them"
    raise InputError(
        name,
        f"{np.count_nonzero(wrong)} of its numbers, such as {numbers[wrong][0]}, are no "
        f"{wanted} intensities",
        fix,
    )
