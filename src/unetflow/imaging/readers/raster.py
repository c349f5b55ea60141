"""PNG and JPEG, through Pillow."""

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from unetflow.imaging.errors import InputError

_PLAIN_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16B")


def read_jpeg(path: Path, max_pixels: int) -> NDArray[np.generic]:
    """Read a JPEG file, turned as its EXIF orientation says."""
    with Image.open(path, formats=["JPEG"]) as image:
        check_size(path, image.width, image.height, max_pixels)
        if image.mode not in ("L", "RGB"):
            raise InputError(path, f"its colours are {image.mode}", "Save it as grey or RGB")
        return np.asarray(ImageOps.exif_transpose(image))


def read_png(path: Path, max_pixels: int) -> NDArray[np.generic]:
    """Read a PNG file at its own bit depth; a palette gives the palette's indices."""
    with Image.open(path, formats=["PNG"]) as image:
        check_size(path, image.width, image.height, max_pixels)
        if _is_16_bit_with_channels(path):
            return np.asarray(imagecodecs.png_decode(path.read_bytes()))
        if image.mode == "1":
            return np.asarray(image.convert("L"))
        if image.mode == "I":  # a 16-bit grey PNG, widened by Pillow
            return np.asarray(image).astype(np.uint16)
        if image.mode == "P" or image.mode in _PLAIN_MODES:
            return np.asarray(image)
        raise InputError(path, f"its colours are {image.mode}", "Save it as grey or RGB")


def check_size(where: object, width: int, height: int, max_pixels: int) -> None:
    """Refuse an image whose header claims more pixels than are allowed, before decoding it."""
    if width * height > max_pixels:
        raise InputError(
            where,
            f"{width} x {height} pixels are more than the allowed {max_pixels}",
            "Cut the image into parts, or raise ingestion.max_pixels",
        )


def _is_16_bit_with_channels(path: Path) -> bool:
    """Tell whether Pillow would silently cut this PNG to 8 bits.

    The header chunk comes first in every PNG: 8 bytes of signature, 8 of chunk length and name,
    4 each for width and height, then one for the bit depth and one for the colour type (0 is
    grey; PNG specification, section 11.2.1).
    """
    with path.open("rb") as file:
        header = file.read(26)
    return header[24] == 16 and header[25] != 0
