"""JPEG, GIF and BMP, through Pillow."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from unetflow.core.errors import InputError
from unetflow.io.files import ReadableFile
from unetflow.io.formats.bounds import check_size, read_bounded

# Pillow's own limit would come before ours and name no way out; `check_size` follows every open,
# before anything is decoded.
Image.MAX_IMAGE_PIXELS = None

GREY = 0
"""PNG colour type (PNG specification, section 11.2.1)."""


def read_jpeg(
    file: ReadableFile, max_pixels: int, *, page: int | None, indices: bool
) -> NDArray[np.generic]:
    """Read a JPEG file."""
    refuse_page(file, page)
    with file.open("rb") as opened, Image.open(opened, formats=["JPEG"]) as image:
        width, height = image.size
        check_size(file, width, height, max_pixels)
    with file.open("rb") as opened:
        data = read_bounded(file, opened, width, height)
    # Without the end marker after the last scan, the rest may be zeros that decode to something.
    if data.find(b"\xff\xd9", data.rfind(b"\xff\xda")) < 0:
        raise ValueError("it ends too early")
    return read_with_pillow(file, max_pixels, "JPEG", data, indices=indices)


def read_gif(
    file: ReadableFile, max_pixels: int, *, page: int | None, indices: bool
) -> NDArray[np.generic]:
    """Read a GIF file that holds one image."""
    refuse_page(file, page)
    return read_with_pillow(file, max_pixels, "GIF", indices=indices)


def read_bmp(
    file: ReadableFile, max_pixels: int, *, page: int | None, indices: bool
) -> NDArray[np.generic]:
    """Read a BMP file."""
    refuse_page(file, page)
    return read_with_pillow(file, max_pixels, "BMP", indices=indices)


def refuse_page(file: ReadableFile, page: int | None) -> None:
    """Refuse to look for a page in a format that has none."""
    if page is not None:
        raise InputError(file, "it holds no pages", "Use the layout `folders` for single images")


def drop_alpha(where: object, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Drop the last channel, an alpha channel, where it is the same for all pixels."""
    alpha = pixels[:, :, -1]
    if np.any(alpha != alpha[0, 0]):
        raise InputError(
            where,
            "its alpha channel is not constant, and what lies under it is not known",
            "Save it as grey or RGB; a picture can be flattened",
        )
    kept = pixels[:, :, 0] if pixels.shape[2] == 2 else pixels[:, :, :-1]
    return np.ascontiguousarray(kept)  # all that follows is quicker then


def read_with_pillow(
    file: ReadableFile, max_pixels: int, kind: str, data: bytes | None = None, *, indices: bool
) -> NDArray[np.generic]:
    """Read a file, or its bytes where they are at hand, in one of Pillow's formats."""
    with (
        io.BytesIO(data) if data else file.open("rb") as opened,
        Image.open(opened, formats=[kind]) as image,
    ):
        check_size(file, image.width, image.height, max_pixels)
        # A JPEG of several images is a photograph with a preview, and comes first.
        if kind != "JPEG" and getattr(image, "n_frames", 1) > 1:
            raise InputError(file, "it is a film of several images", "Save each one as a file")
        upright = ImageOps.exif_transpose(image)
        mode = upright.mode
        if mode == "1":
            return np.asarray(upright.convert("L"))
        if mode in ("P", "PA") and not indices:
            see_through = "transparency" in upright.info or mode == "PA"
            pixels = np.asarray(upright.convert("RGBA" if see_through else "RGB"))
            return drop_alpha(file, pixels) if see_through else pixels
        if mode not in ("L", "P", "RGB", "LA", "RGBA", "I;16"):
            raise InputError(file, f"its colours are {mode}", "Save it as grey or RGB")
        pixels = np.asarray(upright)
        if kind == "PNG" and mode == "L":
            pixels = _undo_spreading(file, pixels)
        return drop_alpha(file, pixels) if mode in ("LA", "RGBA") else pixels


def _undo_spreading(file: ReadableFile, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the stored numbers of grey PNGs of 2 and 4 bits, which Pillow spreads up to 255."""
    with file.open("rb") as opened:
        bits, colour_type = opened.read(26)[24:26]
    if colour_type == GREY and bits in (2, 4):
        return pixels.astype(np.uint8) // np.uint8(255 // (2**bits - 1))
    return pixels
