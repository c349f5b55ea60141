"""TIFF and OME-TIFF, through tifffile; see `tiff_layout` for planes and pages."""

import io
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import BinaryIO, cast

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import PixelArray
from unetflow.io.files import (
    ArchiveMember,
    File,
    FileInMemory,
    ReadableFile,
    file_signature,
    file_size,
)
from unetflow.io.formats.bounds import check_size, decoding_errors
from unetflow.io.formats.picture_files import drop_alpha
from unetflow.io.formats.tiff_layout import (
    CHANNEL_AXES,
    IMAGE_AXES,
    Stack,
    find_plane,
    list_planes,
    list_planes_once,
)

ALPHA = ((1,), (2,))
"""Last values of the tag ExtraSamples that mean alpha (TIFF 6.0, section 18)."""
_SWAPPED, _UPSIDE_DOWN, _MIRRORED = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)
"""Values of the tag Orientation: axes swapped, then the rows, the columns reversed (section 8)."""
_MAX_KEPT_BYTES = 2**27
"""Size up to which a packed stack stays unpacked in memory between pages."""


def is_tiff(file: ReadableFile) -> bool:
    """Return whether a file has the extension of a TIFF file."""
    return file.suffix.lower() in (".tif", ".tiff")


def read_tiff(
    file: ReadableFile, max_pixels: int, *, page: int | None, indices: bool
) -> PixelArray:
    """Read one image of a TIFF file; see `decode_tiff` for arguments and result."""
    with open_tiff(file, keep=page is not None) as tiff:
        return decode_tiff(file, tiff, max_pixels, page, indices=indices)


def decode_tiff(
    file: ReadableFile,
    tiff: tifffile.TiffFile,
    max_pixels: int,
    page: int | None,
    *,
    indices: bool = False,
) -> PixelArray:
    """Read one image of an opened TIFF file as a reader of `formats.readers` does.

    Pages are counted in C order over all axes except rows, columns and channels.

    Raises:
        InputError: The file holds several images and `page` is None, or exceeds the limit of width
            times height.
    """
    # The headers of a stack are listed once, not again for each page.
    once = page is not None and not isinstance(file, FileInMemory)
    stack = list_planes_once(cast(File, file), tiff) if once else list_planes(file, tiff)
    pages = math.prod(stack.page_axes)
    if page is None and pages > 1:
        problem = f"it holds {pages} pages (axes {stack.letters}) instead of one image"
        fix = "Use the layout `stacks`, or save each page as a separate file"
        raise InputError(file, problem, fix)
    if page is not None and not 0 <= page < pages:
        raise InputError(file, f"it has {pages} pages, no page {page}", "Export it again")
    pixels, header = _read_page(file, tiff, stack, page or 0, max_pixels)
    if header.photometric == tifffile.PHOTOMETRIC.PALETTE:
        pixels = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
        if not indices:  # a palette has 16 bits, of which 8 are used
            colours = (header.colormap >> 8).astype(np.uint8).T
            pixels = colours[cast(NDArray[np.integer], pixels)]
    height, width = pixels.shape[:2]
    if pixels.ndim > 2 and header.extrasamples[-1:] in ALPHA:
        pixels = drop_alpha(file, pixels.reshape(height, -1, pixels.shape[-1]))
    pixels = pixels.reshape(height, width, -1)
    pixels = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    orientation = header.tags.valueof("Orientation", default=1)
    pixels = pixels.swapaxes(0, 1) if orientation in _SWAPPED else pixels
    pixels = pixels[::-1] if orientation in _UPSIDE_DOWN else pixels
    return pixels[:, ::-1] if orientation in _MIRRORED else pixels


def count_pages(file: File) -> int:
    """Return the number of images in a TIFF file without decoding them; channels do not count.

    Raises:
        InputError: It cannot be read as one image or as one stack.
    """
    with decoding_errors(file), open_tiff(file, keep=True) as tiff:
        stack = list_planes_once(file, tiff)
        find_plane(tiff, stack, int(stack.planes.max()))
    return math.prod(stack.page_axes)


class _SingleFile(io.FileIO):
    """A file that tifffile treats as a stream, so that it opens no others that a header names."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


@contextmanager
def open_tiff(file: ReadableFile, *, keep: bool) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file, but no other file that its header names, and follow no pages yet.

    `keep`: whether a file of an archive stays unpacked in memory for the next call.
    """
    stream: BinaryIO
    if isinstance(file, ArchiveMember):  # unpacked, since tifffile seeks back and forth
        keep = keep and file_size(file) <= _MAX_KEPT_BYTES
        data = _unpack(file, file_signature(file)) if keep else file.read_bytes()
        stream = io.BytesIO(data)
    elif isinstance(file, FileInMemory):
        stream = file.open()
    else:
        stream = io.BufferedReader(_SingleFile(file))
    # Errors become `InputError`s; tifffile's log does not name the file.
    log, silence = logging.getLogger("tifffile"), logging.Filter("nothing")
    log.addFilter(silence)
    try:
        # Of LSM and NDPI files tifffile would follow the list of headers before it is checked.
        with stream, tifffile.TiffFile(stream, name=file.name, is_lsm=False, is_ndpi=False) as tiff:
            yield tiff
    finally:
        log.removeFilter(silence)


@lru_cache(maxsize=2)  # a stack of images and its stack of masks
def _unpack(member: ArchiveMember, _signature: str) -> bytes:
    return member.read_bytes()


def _read_page(
    file: ReadableFile, tiff: tifffile.TiffFile, stack: Stack, page: int, max_pixels: int
) -> tuple[PixelArray, tifffile.TiffPage]:
    """Read the planes of a page: `(height, width, ...)` with the channels last, and a header."""
    sizes = dict(stack.axes)
    channels = math.prod(size for letter, size in stack.axes if letter in CHANNEL_AXES)
    check_size(file, sizes["X"], sizes["Y"], max_pixels, channels)
    selection = stack.select(page)
    numbers = np.asarray(stack.planes[selection[: stack.outer]])
    planes = [find_plane(tiff, stack, int(number)) for number in numbers.flat]
    for plane in planes:
        _check_plane(file, plane.keyframe, max_pixels)
    within = [size for _, size in stack.axes[stack.outer :]]
    inner = selection[stack.outer :]
    shape = [n for n, part in zip(within, inner, strict=True) if isinstance(part, slice)]
    pixels = np.empty((len(planes), *shape), stack.dtype)
    for plane, target in zip(planes, pixels, strict=True):
        target[...] = plane.asarray().reshape(within)[inner]
    letters = [letter for letter in stack.letters if letter in IMAGE_AXES]
    pixels = pixels.reshape(*numbers.shape, *shape)
    pixels = np.moveaxis(pixels, (letters.index("Y"), letters.index("X")), (0, 1))
    return pixels, planes[0].keyframe


def _check_plane(file: ReadableFile, header: tifffile.TiffPage, max_pixels: int) -> None:
    """Reject a plane that would be decoded to more than allowed, or only in part."""
    check_size(file, header.imagewidth, header.imagelength * header.imagedepth, max_pixels)
    check_size(file, header.tilewidth, header.tilelength * header.tiledepth, max_pixels)
    found = min(len(header.dataoffsets), len(header.databytecounts))
    if not header.is_contiguous and found < math.prod(header.chunked):
        raise ValueError("some of its strips or tiles are missing")
