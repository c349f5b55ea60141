"""JPEG, GIF and BMP, through Pillow.

Pillow's format classes are called directly: `Image.open` would apply Pillow's own limit of pixels,
which belongs to the whole process. `check_size` takes its place.
"""

import io
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from unetflow.core.errors import InputError
from unetflow.io.files import ReadableFile
from unetflow.io.formats.bounds import check_size, read_bounded


def read_jpeg(
    file: ReadableFile, max_pixels: int, *, page: int | None, indices: bool
) -> NDArray[np.generic]:
    """Read a JPEG file; of several images in it, the first one."""
    reject_page(file, page)
    with file.open("rb") as opened:
        with JpegImageFile(opened) as image:
            width, height = image.size
        check_size(file, width, height, max_pixels)
        opened.seek(0)
        data = read_bounded(file, opened, width, height)
    # Without an end marker after the last scan, trailing zeros would decode to something.
    if data.find(b"\xff\xd9", data.rfind(b"\xff\xda")) < 0:
        raise ValueError("it ends too early")
    return decode(file, JpegImageFile, io.BytesIO(data), max_pixels, indices=indices)


def read_picture(
    file: ReadableFile,
    max_pixels: int,
    *,
    page: int | None,
    indices: bool,
    image_class: type[ImageFile],
) -> NDArray[np.generic]:
    """Read a file of one of Pillow's formats that holds one image."""
    reject_page(file, page)
    try:
        with file.open("rb") as opened:
            return decode(file, image_class, opened, max_pixels, indices=indices)
    except Image.DecompressionBombError as error:  # a GIF image that exceeds its screen
        problem = "its image is far larger than the screen that its header claims"
        raise InputError(file, problem, "Export it again from its source") from error


def reject_page(file: ReadableFile, page: int | None) -> None:
    """Raise an `InputError` if a page is requested of a format without pages."""
    if page is not None:
        raise InputError(file, "it holds no pages", "Use the layout `folders` for single images")


def drop_alpha(where: object, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Drop the last channel, an alpha channel, which must be the same for all pixels."""
    alpha = pixels[:, :, -1]
    if np.any(alpha != alpha[0, 0]):
        raise InputError(
            where,
            "its alpha channel is not constant, and what lies under it is not known",
            "Save it as grey or RGB; a picture can be flattened",
        )
    kept = pixels[:, :, 0] if pixels.shape[2] == 2 else pixels[:, :, :-1]
    return np.ascontiguousarray(kept)  # speeds up all later steps


def decode(
    file: ReadableFile,
    image_class: type[ImageFile],
    opened: BinaryIO,
    max_pixels: int,
    *,
    indices: bool,
) -> NDArray[np.generic]:
    """Decode an opened file by one of Pillow's format classes."""
    with image_class(opened) as image:
        check_size(file, image.width, image.height, max_pixels)
        if getattr(image, "n_frames", 1) > 1:
            raise InputError(file, "it is a film of several images", "Save each one as a file")
        upright = ImageOps.exif_transpose(image)
        mode = upright.mode
        if mode == "1":
            return np.asarray(upright.convert("L"))
        if mode in ("P", "PA") and not indices:
            has_alpha = "transparency" in upright.info or mode == "PA"
            pixels = np.asarray(upright.convert("RGBA" if has_alpha else "RGB"))
            return drop_alpha(file, pixels) if has_alpha else pixels
        if mode not in ("L", "P", "RGB", "LA", "RGBA", "I;16"):
            raise InputError(file, f"its colours are {mode}", "Save it as grey or RGB")
        pixels = np.asarray(upright)
        return drop_alpha(file, pixels) if mode in ("LA", "RGBA") else pixels
