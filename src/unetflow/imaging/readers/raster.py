"""PNG and JPEG, through Pillow."""

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from unetflow.imaging.errors import InputError

# Pillow's own limit would come before ours and name no way out; `check_size` follows every open,
# before anything is decoded.
Image.MAX_IMAGE_PIXELS = None

_GREY = 0
"""The colour type of grey PNGs (PNG specification, section 11.2.1)."""


def read_jpeg(path: Path, max_pixels: int, *, indices: bool) -> NDArray[np.generic]:
    """Read a JPEG file, turned as its EXIF orientation says."""
    with Image.open(path, formats=["JPEG"]) as image:
        check_size(path, image.width, image.height, max_pixels)
        if image.mode not in ("L", "RGB"):
            raise InputError(path, f"its colours are {image.mode}", "Save it as grey or RGB")
        return np.asarray(ImageOps.exif_transpose(image))


def read_png(path: Path, max_pixels: int, *, indices: bool) -> NDArray[np.generic]:
    """Read a PNG file at its own bit depth."""
    with Image.open(path, formats=["PNG"]) as image:
        check_size(path, image.width, image.height, max_pixels)
        bits, colour_type = _header(path)
        if bits == 16 and colour_type != _GREY:  # Pillow would silently cut it to 8 bits
            return np.asarray(imagecodecs.png_decode(path.read_bytes()))
        if image.mode == "1":
            return np.asarray(image.convert("L"))
        if image.mode == "P" and not indices:
            return np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB"))
        if colour_type == _GREY and bits in (2, 4):  # Pillow spreads them over 0 to 255
            return np.asarray(image) // np.uint8(255 // (2**bits - 1))
        return np.asarray(image)


def check_size(where: object, width: int, height: int, max_pixels: int) -> None:
    """Refuse an image whose header claims more pixels than are allowed, before decoding it."""
    if width * height > max_pixels:
        raise InputError(
            where,
            f"{width} x {height} pixels are more than the allowed {max_pixels}",
            "Cut the image into parts, or raise ingestion.max_pixels",
        )


def _header(path: Path) -> tuple[int, int]:
    """Return the bit depth and the colour type of a PNG.

    The header chunk comes first: 8 bytes of signature, 8 of chunk length and name, 4 each for
    width and height, then these two (PNG specification, section 11.2.1).
    """
    with path.open("rb") as file:
        header = file.read(26)
    return header[24], header[25]
