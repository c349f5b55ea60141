"""Layout of TIFF files: which planes make up their images, and where they are stored.

A plane is what one header (image file directory) describes; a page is one image, whose channels
may be spread over several planes.
"""

import math
import os
import struct
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.io.files import File, ReadableFile, file_signature

CHANNEL_AXES = "CS"
"""Tifffile's letters of channels and of samples within a pixel; Y and X are rows and columns."""
IMAGE_AXES = "YX" + CHANNEL_AXES
_MAX_PAGES = 1_000_000
_MAX_KEPT_STACKS = 16


@dataclass(frozen=True)
class Stack:
    """Layout of a file according to its headers."""

    axes: tuple[tuple[str, int], ...]
    """Letter and size of each axis, the fastest varying one last."""
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
    def letters(self) -> str:
        """Letters of the axes."""
        return "".join(letter for letter, _ in self.axes)

    @property
    def page_axes(self) -> list[int]:
        """Sizes of the axes that count the pages."""
        return [size for letter, size in self.axes if letter not in IMAGE_AXES]

    @property
    def planes(self) -> NDArray[np.intp]:
        """Plane numbers along the outer axes."""
        sizes = [size for _, size in self.axes[: self.outer]]
        return np.arange(math.prod(sizes)).reshape(sizes)

    def select(self, page: int) -> tuple[slice | int, ...]:
        """Return the index along each axis that selects a page."""
        position = iter(np.unravel_index(page, self.page_axes) if self.page_axes else ())
        return tuple(
            slice(None) if letter in IMAGE_AXES else int(next(position)) for letter in self.letters
        )


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
    sizes = [int(size) for size in series.shape]
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
    axes = tuple(zip(series.axes, sizes, strict=True))
    return Stack(axes, outer[0], header.shape, header.dtype, offsets, series.dataoffset)


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
