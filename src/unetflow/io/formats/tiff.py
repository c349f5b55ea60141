"""TIFF and OME-TIFF, through tifffile.

Here a plane is what one header in the file (an image file directory) stands for, and a page is
one image, whose channels may lie in several planes.
"""

import io
import logging
import math
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, cast

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.io.archive import ArchiveMember
from unetflow.io.files import (
    File,
    FileInMemory,
    ReadableFile,
    file_signature,
)
from unetflow.io.formats.bounds import check_size, explain_damage
from unetflow.io.formats.pillow import drop_alpha

Pixels = NDArray[np.generic]

# What is wrong with a file stands in its `InputError`; the log would not even name the file.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_CHANNEL_AXES = "CS"
"""Tifffile's letters of channels and of samples within a pixel; Y and X are rows and columns."""
_IMAGE_AXES = "YX" + _CHANNEL_AXES
ALPHA = ((1,), (2,))
"""Last values of the tag ExtraSamples that mean alpha (TIFF 6.0, section 18)."""
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}
"""What makes an image upright, by the tag Orientation (TIFF 6.0, section 8)."""
_MAX_PAGES = 1_000_000
_KEPT_BYTES = 2**27
"""Size up to which a packed stack stays unpacked in memory from one page to the next."""


@dataclass(frozen=True)
class _Stack:
    """What the headers of a file say.

    Attributes:
        axes: Letter and size of each axis, the one that varies fastest last.
        outer: Number of axes that count the planes; the others lie within a plane.
        shape: A plane's shape in its own header.
        dtype: The type of its numbers.
        places: Where each plane's header lies in the file.
        start: Where the pixels begin if all lie one after the other as they are: then `places`
            has only the first header, which may stand for all.
    """

    axes: tuple[tuple[str, int], ...]
    outer: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    places: tuple[int, ...]
    start: int | None

    @property
    def letters(self) -> str:
        """The axes' letters."""
        return "".join(letter for letter, _ in self.axes)

    @property
    def stacked(self) -> list[int]:
        """The sizes of the axes that count the pages."""
        return [size for letter, size in self.axes if letter not in _IMAGE_AXES]

    @property
    def planes(self) -> NDArray[np.intp]:
        """The planes' numbers, along the outer axes."""
        sizes = [size for _, size in self.axes[: self.outer]]
        return np.arange(math.prod(sizes)).reshape(sizes)

    def select(self, page: int) -> tuple[slice | int, ...]:
        """Return what to take of each axis for a page."""
        position = iter(np.unravel_index(page, self.stacked) if self.stacked else ())
        return tuple(
            slice(None) if letter in _IMAGE_AXES else int(next(position)) for letter in self.letters
        )


def read_tiff(
    file: ReadableFile, max_pixels: int, *, page: int | None, indices: bool
) -> NDArray[np.generic]:
    """Read one image of a TIFF file as its numbers are stored; channels go last.

    Args:
        file: The file.
        max_pixels: Width times height that its headers may claim.
        page: The image's number, counted over all axes but rows, columns and channels in their
            order in the file; None where there is only one.
        indices: Whether an image with a palette gives its indices instead of its colours.

    Returns:
        `(height, width)` or `(height, width, channels)`, upright.

    Raises:
        InputError: It holds several images and `page` does not say which one, or claims to be
            larger than allowed.
    """
    with open_tiff(file, keep=page is not None) as tiff:
        # The headers of a stack are listed once, not for each page; a single image is opened once.
        if page is None or isinstance(file, FileInMemory):
            stack = _list(file, tiff)
        else:
            stack = _list_once(file, file_signature(file))
        pages = math.prod(stack.stacked)
        if page is None and pages > 1:
            raise InputError(
                file,
                f"it holds {pages} pages (axes {stack.letters}) instead of one image",
                "Use the layout `stacks`, or save each page as a file of its own",
            )
        if page is not None and not 0 <= page < pages:
            raise InputError(file, f"it has {pages} pages, no page {page}", "Export it again")
        pixels, header = _read_page(file, tiff, stack, page or 0, max_pixels)
        if header.photometric == tifffile.PHOTOMETRIC.PALETTE:
            pixels = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
            pixels = pixels if indices else _apply_palette(pixels, header.colormap)
        height, width = pixels.shape[:2]
        if pixels.ndim > 2 and header.extrasamples[-1:] in ALPHA:
            pixels = drop_alpha(file, pixels.reshape(height, -1, pixels.shape[-1]))
        pixels = pixels.reshape(height, width, -1)
        orientation = header.tags.valueof("Orientation", default=1)
    pixels = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return _TURNS[orientation](pixels) if orientation in _TURNS else pixels


def count_pages(file: File) -> int:
    """Return how many images a TIFF file holds, its channels not counted; none is decoded.

    Raises:
        InputError: It cannot be read as one image or as one stack.
    """
    try:
        with open_tiff(file, keep=True) as tiff:
            stack = _list_once(file, file_signature(file))
            _find_plane(tiff, stack, int(stack.planes.max()))
    except InputError:
        raise
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(file, f"it cannot be opened ({error})", "Check the path") from error
    except Exception as error:  # tifffile raises anything on damaged bytes
        raise InputError(file, *explain_damage(file, error)) from error
    return math.prod(stack.stacked)


class _LoneFile(io.FileIO):
    """A file that tifffile takes for a stream, so that it opens no others that a header names."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


@contextmanager
def open_tiff(file: ReadableFile, *, keep: bool) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file, but none that its header names, and without following its pages yet.

    Args:
        file: The file.
        keep: Whether a packed file should stay unpacked in memory for the next call.
    """
    stream: BinaryIO
    if isinstance(file, FileInMemory):
        stream = file.open()
    elif not isinstance(file, ArchiveMember):
        stream = io.BufferedReader(_LoneFile(file))
    elif keep and file.size() <= _KEPT_BYTES:
        stream = io.BytesIO(_unpack(file, file.signature()))
    else:
        stream = io.BytesIO(file.read_bytes())  # since pages are looked for back and forth
    # Of these two kinds tifffile would follow the list of headers before it is checked.
    with stream, tifffile.TiffFile(stream, name=file.name, is_lsm=False, is_ndpi=False) as tiff:
        yield tiff


@lru_cache(maxsize=2)  # a stack of images and its stack of masks
def _unpack(member: ArchiveMember, _signature: str) -> bytes:
    return member.read_bytes()


@lru_cache(maxsize=16)
def _list_once(file: File, _signature: str) -> _Stack:
    with open_tiff(file, keep=True) as tiff:
        return _list(file, tiff)


def _list(file: ReadableFile, tiff: tifffile.TiffFile) -> _Stack:
    """Find a file's axes, and where its planes lie."""
    check_chain(tiff)
    images = tiff.series
    if len(images) > 1:  # smaller copies of an image are none of their own
        images = [s for s in images if not s.keyframe.is_subifd and not s.keyframe.is_reduced]
    if len(images) != 1:
        raise InputError(
            file,
            f"it holds {len(images)} images of different kinds instead of one",
            "Save each one as a file of its own",
        )
    series, header = images[0], images[0].keyframe
    sizes = [int(size) for size in series.shape]
    count = math.prod(sizes) // header.size
    outer = [n for n in range(len(sizes)) if math.prod(sizes[:n]) == count]
    if header.dtype is None or not outer or any(series.axes.count(axis) != 1 for axis in "YX"):
        raise ValueError(f"{header.bitspersample} bits along axes {series.axes} are no image")
    if tiff.is_imagej and series.kind in ("uniform", "generic"):
        raise ValueError("it holds fewer images than its ImageJ header says")
    if count > _MAX_PAGES:
        raise InputError(file, f"it claims to hold {count} images", "Split it into several files")
    places = (header.offset,)
    if series.dataoffset is None:
        places = tuple(plane.offset for plane in series if plane is not None and plane.offset)
        if len(places) != count:
            raise InputError(
                file,
                f"its header lists {count} images, of which it holds {len(places)}",
                "Save all of them again as one file",
            )
    axes = tuple(zip(series.axes, sizes, strict=True))
    return _Stack(axes, outer[0], header.shape, header.dtype, places, series.dataoffset)


def check_chain(tiff: tifffile.TiffFile) -> None:
    """Follow the headers, each of which says where the next one lies, to the end of the chain.

    Raises:
        ValueError: It has no end.
    """
    form, stream = tiff.tiff, tiff.filehandle
    place, seen = tiff.pages.first.offset, set[int]()
    while place:
        if place in seen or len(seen) == _MAX_PAGES:
            raise ValueError("its list of pages has no end")
        seen.add(place)
        stream.seek(place)
        (tags,) = struct.unpack(form.tagnoformat, stream.read(form.tagnosize))
        stream.seek(tags * form.tagsize, os.SEEK_CUR)
        (place,) = struct.unpack(form.offsetformat, stream.read(form.offsetsize))


def _read_page(
    file: ReadableFile, tiff: tifffile.TiffFile, stack: _Stack, page: int, max_pixels: int
) -> tuple[Pixels, tifffile.TiffPage]:
    """Read the planes of a page: `(height, width, ...)` with the channels last, and a header."""
    sizes = dict(stack.axes)
    channels = math.prod(size for letter, size in stack.axes if letter in _CHANNEL_AXES)
    check_size(file, sizes["X"], sizes["Y"], max_pixels, channels)
    selection = stack.select(page)
    numbers = np.asarray(stack.planes[selection[: stack.outer]])
    planes = [_find_plane(tiff, stack, int(number)) for number in numbers.flat]
    for plane in planes:
        _check_plane(file, plane.keyframe, max_pixels)
    within = [size for _, size in stack.axes[stack.outer :]]
    taken = selection[stack.outer :]
    shape = [n for n, part in zip(within, taken, strict=True) if isinstance(part, slice)]
    pixels = np.empty((len(planes), *shape), stack.dtype)
    for plane, target in zip(planes, pixels, strict=True):
        target[...] = plane.asarray().reshape(within)[taken]
    letters = [letter for letter in stack.letters if letter in _IMAGE_AXES]
    rows_first = np.moveaxis(
        pixels.reshape(*numbers.shape, *shape), (letters.index("Y"), letters.index("X")), (0, 1)
    )
    return rows_first, planes[0].keyframe


def _find_plane(
    tiff: tifffile.TiffFile, stack: _Stack, number: int
) -> tifffile.TiffPage | tifffile.TiffFrame:
    """Read the header of a plane, and verify that it is what the list says."""
    tiff.filehandle.seek(stack.places[number if stack.start is None else 0])
    header = tifffile.TiffPage(tiff, number)
    if (header.shape, header.dtype) != (stack.shape, stack.dtype):
        raise ValueError(f"{header.dtype} numbers of {header.shape} are not like the first page")
    if stack.start is None:
        return header
    offset = stack.start + number * header.nbytes
    if offset + header.nbytes > tiff.filehandle.size:
        raise ValueError("it ends too early")
    return tifffile.TiffFrame(
        tiff, number, dataoffsets=(offset,), databytecounts=(header.nbytes,), keyframe=header
    )


def _check_plane(file: ReadableFile, header: tifffile.TiffPage, max_pixels: int) -> None:
    """Refuse what would be decoded to more than allowed, or leave pixels undecoded."""
    check_size(file, header.imagewidth, header.imagelength * header.imagedepth, max_pixels)
    check_size(file, header.tilewidth, header.tilelength * header.tiledepth, max_pixels)
    found = min(len(header.dataoffsets), len(header.databytecounts))
    if not header.is_contiguous and found < math.prod(header.chunked):
        raise ValueError("some of its strips or tiles are missing")


def _apply_palette(pixels: Pixels, palette: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return colours for indices; palettes of TIFF have 16 bits, of which 8 are in use."""
    colours: NDArray[np.uint8] = (
        (palette >> 8).astype(np.uint8).T[cast(NDArray[np.integer], pixels)]
    )
    return colours
