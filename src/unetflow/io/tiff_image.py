"""TIFF and OME-TIFF images of any size, opened without decoding them."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.io.files import file_signature
from unetflow.io.formats.bounds import decoding_errors
from unetflow.io.formats.tiff import ALPHA, open_tiff
from unetflow.io.formats.tiff_layout import check_chain, find_series
from unetflow.io.lazy_image import (
    MAX_CHUNK_PIXELS,
    Array,
    CachedChunks,
    LazyImage,
    Selection,
    check_chunk,
    choose_level,
)
from unetflow.io.pixel_size import find_pixel_size


def open_large_tiff(path: Path, level: int = 0, max_pixels: int = MAX_CHUNK_PIXELS) -> LazyImage:
    """Open a TIFF file without decoding it; see `as_lazy_image`.

    Args:
        path: A file of one image, channels not counted; reduced copies of it are levels.
        level: Level of a pyramid; 0 has the full resolution.
        max_pixels: Limit of width times height of a tile or strip.

    Raises:
        InputError: The file cannot be read as such an image.
    """
    with decoding_errors(path), ExitStack() as stack:
        tiff = stack.enter_context(open_tiff(path, keep=False))
        return as_lazy_image(path, tiff, stack, level, max_pixels)


def as_lazy_image(
    path: Path,
    tiff: tifffile.TiffFile,
    stack: ExitStack,
    level: int = 0,
    max_pixels: int = MAX_CHUNK_PIXELS,
) -> LazyImage:
    """Return an image of an opened TIFF file that takes over the stack and closes the file.

    Uncompressed pixels that are stored one after the other are memory-mapped; otherwise one tile
    or strip after the other is decoded.
    """
    check_chain(tiff)
    series = choose_level(path, find_series(path, tiff).levels, level)
    _check_header(path, series.keyframe)
    array = _map(path, tiff, series)
    if array is None:
        array = _decode(path, series, max_pixels, stack)
    return LazyImage(
        path,
        array,
        series.axes,
        {"image": file_signature(path), "level": level},
        pixel_size=find_pixel_size(tiff),
        has_alpha=series.keyframe.extrasamples[-1:] in ALPHA,
        reopen=partial(open_large_tiff, path.absolute(), level, max_pixels),
        close=stack.pop_all().close,
    )


class MappedFile:
    """Values that follow each other in a file, uncompressed.

    Each part is mapped separately, so that earlier parts do not stay in memory.
    """

    def __init__(
        self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], start: int
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._path, self._start = path, start

    def __getitem__(self, selection: Selection) -> NDArray[Any]:
        return np.array(np.memmap(self._path, self.dtype, "r", self._start, self.shape)[selection])


def _map(path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Array | None:
    """Return the mapped pixels, or None where they are compressed or scattered."""
    header = series.keyframe
    dtype = np.dtype(tiff.byteorder + series.dtype.char)
    if series.dataoffset is None or not header.is_contiguous or not header.is_final:
        return None
    if dtype.itemsize * 8 != header.bitspersample:
        return None
    # Reading a map beyond the end of the file would kill the process.
    if series.dataoffset + series.size * dtype.itemsize > path.stat().st_size:
        raise ValueError("it ends too early")
    return MappedFile(path, dtype, tuple(series.shape), series.dataoffset)


def _decode(
    path: Path, series: tifffile.TiffPageSeries, max_pixels: int, stack: ExitStack
) -> Array:
    import zarr  # a quarter of a second, which small images need not wait for

    for plane in series:
        header = plane.keyframe
        found = min(len(plane.dataoffsets), len(plane.databytecounts))
        if found < np.prod(header.chunked) or not all(plane.databytecounts):
            raise ValueError("some of its strips or tiles are missing")
    store = stack.enter_context(series.aszarr(level=0, maxworkers=1))
    array = zarr.open_array(store, mode="r")
    sizes = dict(zip(series.axes, array.chunks, strict=True))
    check_chunk(path, sizes["X"], sizes["Y"], max_pixels)
    return CachedChunks(array, array.chunks)


def _check_header(path: Path, header: tifffile.TiffPage) -> None:
    """Refuse images that need more than their stored values."""
    if header.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise InputError(path, "it has a palette", "Save it as grey or RGB")
    orientation = header.tags.valueof("Orientation", default=1)
    if orientation != 1:
        raise InputError(
            path, f"it is stored turned (Orientation {orientation})", "Save it upright"
        )
