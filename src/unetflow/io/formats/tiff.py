"""TIFF and OME-TIFF, through tifffile.

A plane is what one header (image file directory) describes; a page is one image, whose channels
may be spread over several planes.
"""

import io
import logging
import math
import os
import struct
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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

ALPHA = ((1,), (2,))
"""Last values of the tag ExtraSamples that mean alpha (TIFF 6.0, section 18)."""
_SWAPPED, _UPSIDE_DOWN, _MIRRORED = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)
"""Values of the tag Orientation: axes swapped, then the rows, the columns reversed (section 8)."""
_MAX_KEPT_BYTES = 2**27
"""Size up to which a packed stack stays unpacked in memory between pages."""
_IMAGE_AXES = "YXCS"
"""Tifffile's letters of rows, columns, channels and of samples within a pixel."""
_MAX_PAGES = 1_000_000
_MAX_KEPT_STACKS = 16


def is_tiff(file: ReadableFile) -> bool:
    """Return whether a file has the extension of a TIFF file."""
    return file.suffix.lower() in (".tif", ".tiff")


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


@dataclass(frozen=True)
class Stack:
    """Layout of a file according to its headers."""

    letters: str
    """Letters of the axes, the fastest varying one last."""
    sizes: tuple[int, ...]
    """Sizes of these axes."""
    outer: int
    """Number of axes that count the planes; the others lie within a plane."""
    shape: tuple[int, ...]
    """Shape of a plane in its own header."""
    dtype: np.dtype[np.generic]
    offsets: tuple[int, ...]
    """Position of each plane's header in the file."""
    data_offset: int | None
    """Position of the pixels if all planes are stored one after the other without compression;
    `offsets` then holds only the first header, which stands for all."""

    @property
    def page_axes(self) -> list[int]:
        """Sizes of the axes that count the pages."""
        axes = zip(self.letters, self.sizes, strict=True)
        return [size for letter, size in axes if letter not in _IMAGE_AXES]


_stacks: OrderedDict[tuple[File, str], Stack] = OrderedDict()
"""The last stacks that were listed, by file and signature."""


def list_planes_once(file: File, tiff: tifffile.TiffFile) -> Stack:
    """Return the layout of a file from the cache, or list it."""
    key = file, file_signature(file)
    stack = _stacks.get(key)
    if stack is None:
        stack = _stacks[key] = list_planes(file, tiff)
        while len(_stacks) > _MAX_KEPT_STACKS:
            _stacks.popitem(last=False)
    return stack


def list_planes(file: ReadableFile, tiff: tifffile.TiffFile) -> Stack:
    """Find the axes of a file and the position of its planes."""
    check_chain(tiff)
    series = find_series(file, tiff)
    header = series.keyframe
    sizes = tuple(int(size) for size in series.shape)
    count = math.prod(sizes) // header.size
    outer = [n for n in range(len(sizes)) if math.prod(sizes[:n]) == count]
    if header.dtype is None or not outer or any(series.axes.count(axis) != 1 for axis in "YX"):
        raise ValueError(f"{header.bitspersample} bits along axes {series.axes} are no image")
    if tiff.is_imagej and series.kind in ("uniform", "generic"):
        raise ValueError("it holds fewer images than its ImageJ header says")
    if count > _MAX_PAGES:
        raise InputError(file, f"it claims to hold {count} images", "Split it into several files")
    offsets = (header.offset,)
    if series.dataoffset is None:
        offsets = tuple(plane.offset for plane in series if plane is not None and plane.offset)
        if len(offsets) != count:
            problem = f"its header lists {count} images, of which it holds {len(offsets)}"
            raise InputError(file, problem, "Save all of them again as one file")
    form = header.shape, header.dtype
    return Stack(series.axes, sizes, outer[0], *form, offsets, series.dataoffset)


def find_series(file: ReadableFile, tiff: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """Return the only image or stack of a file; its reduced copies do not count as several."""
    found = tiff.series
    if len(found) > 1:
        found = [s for s in found if not s.keyframe.is_subifd and not s.keyframe.is_reduced]
    if len(found) != 1:
        problem = f"it holds {len(found)} images of different kinds instead of one"
        raise InputError(file, problem, "Save each one as a separate file")
    return found[0]


def check_chain(tiff: tifffile.TiffFile) -> None:
    """Follow the headers, each of which gives the position of the next one, to their end."""
    form, stream = tiff.tiff, tiff.filehandle
    position, seen = tiff.pages.first.offset, set[int]()
    while position:
        if position in seen or len(seen) == _MAX_PAGES:
            raise ValueError("its list of pages has no end")
        seen.add(position)
        stream.seek(position)
        (tags,) = struct.unpack(form.tagnoformat, stream.read(form.tagnosize))
        stream.seek(tags * form.tagsize, os.SEEK_CUR)
        (position,) = struct.unpack(form.offsetformat, stream.read(form.offsetsize))


def find_plane(
    tiff: tifffile.TiffFile, stack: Stack, number: int
) -> tifffile.TiffPage | tifffile.TiffFrame:
    """Read the header of a plane and verify that it agrees with the list."""
    tiff.filehandle.seek(stack.offsets[number if stack.data_offset is None else 0])
    header = tifffile.TiffPage(tiff, number)
    if (header.shape, header.dtype) != (stack.shape, stack.dtype):
        raise ValueError(f"{header.dtype} numbers of {header.shape} are not like the first page")
    if stack.data_offset is None:
        return header
    offset = stack.data_offset + number * header.nbytes
    if offset + header.nbytes > tiff.filehandle.size:
        raise ValueError("it ends too early")
    return tifffile.TiffFrame(
        tiff, number, dataoffsets=(offset,), databytecounts=(header.nbytes,), keyframe=header
    )


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
        find_plane(tiff, stack, math.prod(stack.sizes[: stack.outer]) - 1)
    return math.prod(stack.page_axes)


def _read_page(
    file: ReadableFile, tiff: tifffile.TiffFile, stack: Stack, page: int, max_pixels: int
) -> tuple[PixelArray, tifffile.TiffPage]:
    """Read the planes of a page: `(height, width, ...)` with the channels last, and a header."""
    letters, sizes, outer = stack.letters, stack.sizes, stack.outer
    channels = math.prod(n for letter, n in zip(letters, sizes, strict=True) if letter in "CS")
    width, height = (sizes[letters.index(axis)] for axis in "XY")
    check_size(file, width, height, max_pixels, channels)
    position = iter(np.unravel_index(page, stack.page_axes) if stack.page_axes else ())
    selection = [slice(None) if axis in _IMAGE_AXES else int(next(position)) for axis in letters]
    numbers = np.arange(math.prod(sizes[:outer])).reshape(sizes[:outer])
    numbers = np.asarray(numbers[tuple(selection[:outer])])
    planes = [find_plane(tiff, stack, int(number)) for number in numbers.flat]
    for plane in planes:
        _check_plane(file, plane.keyframe, max_pixels)
    within, inner = sizes[outer:], tuple(selection[outer:])
    shape = [n for n, part in zip(within, inner, strict=True) if isinstance(part, slice)]
    pixels = np.empty((len(planes), *shape), stack.dtype)
    for plane, target in zip(planes, pixels, strict=True):
        target[...] = plane.asarray().reshape(within)[inner]
    kept = [axis for axis in letters if axis in _IMAGE_AXES]
    pixels = pixels.reshape(*numbers.shape, *shape)
    pixels = np.moveaxis(pixels, (kept.index("Y"), kept.index("X")), (0, 1))
    return pixels, planes[0].keyframe


def _check_plane(file: ReadableFile, header: tifffile.TiffPage, max_pixels: int) -> None:
    """Reject a plane that would be decoded to more than allowed, or only in part."""
    check_size(file, header.imagewidth, header.imagelength * header.imagedepth, max_pixels)
    check_size(file, header.tilewidth, header.tilelength * header.tiledepth, max_pixels)
    found = min(len(header.dataoffsets), len(header.databytecounts))
    if not header.is_contiguous and found < math.prod(header.chunked):
        raise ValueError("some of its strips or tiles are missing")
