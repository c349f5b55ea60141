"""PNG, JPEG, GIF and BMP, through imagecodecs and Pillow, with a faster decoder for typical masks.

Pillow's format classes are called directly: `Image.open` would apply Pillow's own limit of pixels,
which belongs to the whole process. `check_size` takes its place. Section numbers refer to the PNG
specification (W3C).
"""

import io
import struct
import zlib
from collections import defaultdict
from itertools import pairwise
from typing import BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from unetflow.core.errors import InputError
from unetflow.core.types import PixelArray
from unetflow.io.files import ReadableFile
from unetflow.io.formats.bounds import check_size, read_bounded

_GREY, _PALETTE, _ALPHA = 0, 3, 4
"""Colour types; that of alpha is added to another one (section 11.2.1)."""
_SUB, _UP, _PAETH = 1, 2, 4
"""Row filters (section 9.2)."""
_MAX_PAETH_ROWS = 2
"""Undoing the Paeth filter one pixel at a time pays off for up to this many rows."""


def read_picture(
    file: ReadableFile, max_pixels: int, *, indices: bool, image_class: type[ImageFile]
) -> PixelArray:
    """Read a file of one of Pillow's formats that holds one image."""
    try:
        with file.open("rb") as opened:
            return _decode(file, image_class, opened, max_pixels, indices=indices)
    except Image.DecompressionBombError as error:  # a GIF image that exceeds its screen
        problem = "its image is far larger than the screen that its header claims"
        raise InputError(file, problem, "Export it again from its source") from error


def read_jpeg(file: ReadableFile, max_pixels: int, *, indices: bool) -> PixelArray:
    """Read a JPEG file; of several images in it, the first one."""
    with file.open("rb") as opened:
        with JpegImageFile(opened) as image:
            width, height = image.size
        check_size(file, width, height, max_pixels)
        opened.seek(0)
        data = read_bounded(file, opened, width, height)
    # Without an end marker after the last scan, trailing zeros would decode to something.
    if data.find(b"\xff\xd9", data.rfind(b"\xff\xda")) < 0:
        raise ValueError("it ends too early")
    return _decode(file, JpegImageFile, io.BytesIO(data), max_pixels, indices=indices)


def read_png(file: ReadableFile, max_pixels: int, *, indices: bool) -> PixelArray:
    """Read a PNG file at its own bit depth."""
    with file.open("rb") as opened:
        start = opened.read(33)
        if start[:8] != b"\x89PNG\r\n\x1a\n" or start[12:16] != b"IHDR" or len(start) < 33:
            raise ValueError("it does not begin as a PNG file does")
        width, height, bits, colour_type = struct.unpack(">IIBB", start[16:26])
        check_size(file, width, height, max_pixels)
        data = start + read_bounded(file, opened, width, height)
    chunks = _read_chunks(data)
    if b"acTL" in chunks:
        raise InputError(file, "it is a film of several images", "Save each one as a file")
    if bits < 8 or colour_type == _PALETTE or not chunks.keys().isdisjoint({b"eXIf", b"tRNS"}):
        if bits == 16 and colour_type != _GREY:  # Pillow would cut it to 8 bits
            problem = "its 16-bit colours come with an orientation or with a transparent colour"
            raise InputError(file, problem, "Save it upright and without transparency")
        pixels = _decode(file, PngImageFile, io.BytesIO(data), max_pixels, indices=indices)
        if colour_type == _GREY and bits in (2, 4):  # Pillow spreads them up to 255
            pixels = pixels.astype(np.uint8) // np.uint8(255 // (2**bits - 1))
        return pixels
    is_plain = start[26:29] == b"\0\0\0"  # standard compression and filters, not interlaced
    if bits == 8 and colour_type == _GREY and is_plain:
        grey = unpack_grey(b"".join(chunks[b"IDAT"]), width, height)
        if grey is not None:
            return grey
    # Pillow is slower here, and would silently cut 16-bit colours to 8 bits.
    pixels = np.asarray(imagecodecs.png_decode(data))
    return drop_alpha(file, pixels) if colour_type & _ALPHA else pixels


def drop_alpha(where: object, pixels: PixelArray) -> PixelArray:
    """Drop the last channel, an alpha channel, which must be the same for all pixels."""
    alpha = pixels[:, :, -1]
    if np.any(alpha != alpha[0, 0]):
        problem = "its alpha channel is not constant, and what lies under it is not known"
        raise InputError(where, problem, "Save it as grey or RGB; a picture can be flattened")
    kept = pixels[:, :, 0] if pixels.shape[2] == 2 else pixels[:, :, :-1]
    return np.ascontiguousarray(kept)  # speeds up all later steps


def _decode(
    file: ReadableFile,
    image_class: type[ImageFile],
    opened: BinaryIO,
    max_pixels: int,
    *,
    indices: bool,
) -> PixelArray:
    with image_class(opened) as image:
        check_size(file, image.width, image.height, max_pixels)
        if getattr(image, "n_frames", 1) > 1:
            raise InputError(file, "it is a film of several images", "Save each one as a file")
        upright: Image.Image = ImageOps.exif_transpose(image)
        if upright.mode == "1":
            upright = upright.convert("L")
        elif upright.mode in ("P", "PA") and not indices:
            has_alpha = "transparency" in upright.info or upright.mode == "PA"
            upright = upright.convert("RGBA" if has_alpha else "RGB")
        if upright.mode not in ("L", "P", "RGB", "LA", "RGBA", "I;16"):
            raise InputError(file, f"its colours are {upright.mode}", "Save it as grey or RGB")
        pixels = np.asarray(upright)
        return drop_alpha(file, pixels) if upright.mode in ("LA", "RGBA") else pixels


def unpack_grey(packed: bytes, width: int, height: int) -> NDArray[np.uint8] | None:
    """Unpack the pixels `(height, width)` of an 8-bit grey PNG image (sections 7 to 10).

    In masks most rows repeat a value or the row above. libdeflate unpacks those several times as
    fast as the zlib in libpng, and sums along rows or columns undo their filters. On the masks of
    the Data Science Bowl 2018 this takes 0.37 of the time of `imagecodecs.png_decode`.

    `packed` is the joined content of the IDAT chunks. The result is None if libpng is faster, or
    must report what is wrong.
    """
    size = height * (width + 1)
    try:
        unpacked = imagecodecs.deflate_decode(packed, out=bytearray(size))
    except imagecodecs.DeflateError:
        return None
    if len(unpacked) != size:
        return None
    rows = np.frombuffer(unpacked, np.uint8).reshape(height, width + 1)
    filters, pixels = rows[:, 0], rows[:, 1:]
    others = filters[filters > _UP]
    if len(others) > _MAX_PAETH_ROWS or np.any(others != _PAETH):
        return None
    borders = np.flatnonzero(filters[1:] != filters[:-1]) + 1
    for first, end in pairwise([0, *borders.tolist(), height]):
        part = pixels[first:end]
        if filters[first] == _SUB:
            np.add.accumulate(part, axis=1, out=part)
        elif filters[first] == _UP:
            with_above = pixels[max(first - 1, 0) : end]
            np.add.accumulate(with_above, axis=0, out=with_above)
        elif filters[first] == _PAETH:
            for row in range(first, end):
                above = pixels[row - 1].tolist() if row else [0] * width
                pixels[row] = _undo_paeth(pixels[row].tolist(), above)
    return np.ascontiguousarray(pixels)


def _undo_paeth(stored: list[int], above: list[int]) -> list[int]:
    """Return a row's values (section 9.4)."""
    values = []
    left = upper_left = 0
    for difference, upper in zip(stored, above, strict=True):
        to_left = abs(upper - upper_left)
        to_upper = abs(left - upper_left)
        to_upper_left = abs(left + upper - 2 * upper_left)
        if to_left <= to_upper and to_left <= to_upper_left:
            predicted = left
        else:
            predicted = upper if to_upper <= to_upper_left else upper_left
        left, upper_left = (difference + predicted) & 255, upper
        values.append(left)
    return values


def _read_chunks(data: bytes) -> dict[bytes, list[memoryview]]:
    """Verify each chunk's check sum and return the contents by chunk name (section 5)."""
    view = memoryview(data)
    chunks: dict[bytes, list[memoryview]] = defaultdict(list)
    position = 8
    while b"IEND" not in chunks:
        if position + 12 > len(data):
            raise ValueError("it ends too early")
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise ValueError("it ends too early")
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise ValueError(f"the check sum of its chunk {name!r} is wrong")
        chunks[name].append(view[position + 8 : end])
        position = end + 4
    return chunks
