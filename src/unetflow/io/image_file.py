"""Handle of an image in a file, which is opened once and read whole or by windows."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import PixelArray
from unetflow.io.files import File, file_signature
from unetflow.io.formats.bounds import MAX_PIXELS, decoding_errors
from unetflow.io.formats.readers import read_image, to_image
from unetflow.io.formats.tiff import (
    ALPHA,
    check_chain,
    decode_tiff,
    find_series,
    is_tiff,
    open_tiff,
)
from unetflow.io.lazy_image import (
    MAX_CHUNK_PIXELS,
    CachedChunks,
    LazyImage,
    Selection,
    check_chunk,
    choose_level,
)
from unetflow.io.pixel_size import PixelSize, find_pixel_size


@dataclass(frozen=True)
class WholeImage:
    """An image in memory: `(height, width, channels)` as of `read_image`; size None if unknown."""

    pixels: PixelArray
    pixel_size: PixelSize | None = None


@dataclass(frozen=True)
class ImageFile:
    """An image that is not opened yet; it can be sent to another process.

    The folder of a Zarr array or OME-Zarr image is always large. `max_pixels` is the limit of width
    times height of an image that is read whole, `page` the number of the image in a stack.
    """

    file: File
    max_pixels: int = MAX_PIXELS
    page: int | None = None

    @overload
    def open(self) -> WholeImage: ...

    @overload
    def open(self, large_from: int) -> WholeImage | LazyImage: ...

    def open(self, large_from: int | None = None) -> WholeImage | LazyImage:
        """Open the image, and read it unless it is large.

        A TIFF file is large from a width times height of `large_from` (None: never); images of
        other formats and in archives never are. A TIFF file that cannot be read by windows is read
        whole if `max_pixels` allows. An image to be read by windows must be closed.

        Raises:
            InputError: It cannot be read.
        """
        with decoding_errors(self.file), ExitStack() as stack:
            opened = self._open(stack, large_from)
            if isinstance(opened, LazyImage):
                return opened
            if opened is not None:
                pixels = decode_tiff(self.file, opened, self.max_pixels, self.page)
                return WholeImage(to_image(self.file, pixels), find_pixel_size(opened))
        return WholeImage(self.read())

    def read(self) -> PixelArray:
        """Read the pixels `(height, width, channels)`; see `read_image`."""
        return read_image(self.file, self.max_pixels, self.page)

    def is_large(self, large_from: int) -> bool:
        """Return whether `open` would give an image to be read by windows; no pixel is read.

        Raises:
            InputError: It is large, and cannot be opened.
        """
        if not isinstance(self.file, Path):
            return False
        try:
            with ExitStack() as stack:
                opened = self._open(stack, large_from)
        except InputError:
            raise
        except Exception:  # reading the image gives the error
            return False
        if isinstance(opened, LazyImage):
            opened.close()
        return isinstance(opened, LazyImage)

    def _open(
        self, stack: ExitStack, large_from: int | None
    ) -> LazyImage | tifffile.TiffFile | None:
        """Return an image to be read by windows, or else an opened TIFF file if it is one."""
        path = self.file if isinstance(self.file, Path) and large_from is not None else None
        if path is not None and path.is_dir():
            return open_large(path)
        if not is_tiff(self.file):
            return None
        tiff = stack.enter_context(open_tiff(self.file, keep=self.page is not None))
        if path is None or large_from is None or self.page is not None:
            return tiff
        pixels = int(tiff.pages.first.imagewidth * tiff.pages.first.imagelength)
        if pixels < large_from:
            return tiff
        try:
            with decoding_errors(path):
                return _as_lazy_image(path, tiff, stack)
        except InputError:
            if pixels > self.max_pixels:
                raise
            return tiff


def open_large(path: Path, level: int = 0, max_pixels: int = MAX_CHUNK_PIXELS) -> LazyImage:
    """Open an image larger than memory without decoding it.

    Args:
        path: A TIFF file of one image, channels not counted; reduced copies of it are levels. Or a
            folder with a Zarr array or an OME-Zarr image.
        level: Level of a pyramid; 0 is the full resolution.
        max_pixels: Largest width times height of a tile, strip or chunk, which is decoded at once.

    Raises:
        InputError: It cannot be read as one image.

    Example:
        ```python
        with open_large(Path("slide.ome.tif")) as image:
            corner = image.read((0, 512), (0, 512))  # (512, 512, channels)
        ```
    """
    if path.is_dir():
        from unetflow.io.zarr_image import open_large_zarr  # it imports zarr, see `_open_pixels`

        return open_large_zarr(path, level, max_pixels)
    with decoding_errors(path), ExitStack() as stack:
        tiff = stack.enter_context(open_tiff(path, keep=False))
        return _as_lazy_image(path, tiff, stack, level, max_pixels)


def _as_lazy_image(
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
    header = series.keyframe
    if header.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise InputError(path, "it has a palette", "Save it as grey or RGB")
    orientation = header.tags.valueof("Orientation", default=1)
    if orientation != 1:
        problem = f"it is stored turned (Orientation {orientation})"
        raise InputError(path, problem, "Save it upright")
    return LazyImage(
        path,
        _open_pixels(path, tiff, series, max_pixels, stack),
        series.axes,
        {"image": file_signature(path), "level": level},
        pixel_size=find_pixel_size(tiff),
        has_alpha=header.extrasamples[-1:] in ALPHA,
        reopen=partial(open_large, path.absolute(), level, max_pixels),
        close=stack.pop_all().close,
    )


@dataclass(frozen=True)
class MappedFile:
    """Values that follow each other in a file, uncompressed.

    Each part is mapped separately, so that earlier parts do not stay in memory.
    """

    path: Path
    dtype: np.dtype[Any]
    start: int
    shape: tuple[int, ...]

    def __getitem__(self, selection: Selection) -> NDArray[Any]:
        return np.array(np.memmap(self.path, self.dtype, "r", self.start, self.shape)[selection])


def _open_pixels(
    path: Path,
    tiff: tifffile.TiffFile,
    series: tifffile.TiffPageSeries,
    max_pixels: int,
    stack: ExitStack,
) -> MappedFile | CachedChunks:
    """Return the pixels: mapped, or decoded in parts where they are compressed or scattered."""
    header, start = series.keyframe, series.dataoffset
    dtype = np.dtype(tiff.byteorder + series.dtype.char)
    is_plain = start is not None and header.is_contiguous and header.is_final
    if is_plain and dtype.itemsize * 8 == header.bitspersample:
        # Reading a map beyond the end of the file would kill the process.
        if start + series.size * dtype.itemsize > path.stat().st_size:
            raise ValueError("it ends too early")
        return MappedFile(path, dtype, start, tuple(series.shape))
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
