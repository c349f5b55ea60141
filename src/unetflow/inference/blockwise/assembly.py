"""From blocks to one file: a tiled TIFF or a Zarr array."""

import math
import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.inference.blockwise.blocks import Block, Grid
from unetflow.io.pixel_size import PixelSize
from unetflow.io.tiff_writer import ome_header

TILE = 512
"""Edge of the tiles of a TIFF and of the chunks of a Zarr array, in pixels."""
_LARGEST_TIFF = 2**32 - 2**25
"""Bytes of pixels beyond which a TIFF might need places that its 32 bits cannot name."""
_TIFF, _ZARR = (".tif", ".tiff"), (".zarr",)

Span = tuple[int, int]
ReadBlock = Callable[[Block], NDArray[Any] | None]


class Mosaic:
    """An image that is put together from its blocks, as far as it is looked at.

    Args:
        grid: The blocks.
        read: Returns a block's pixels `(height, width, ...)`; None where there is only background.
        shape: Of the whole image.
        dtype: The type of its numbers.
        background: What stands in a pixel of a block without pixels.
    """

    def __init__(
        self,
        grid: Grid,
        read: ReadBlock,
        shape: tuple[int, ...],
        dtype: Any,
        background: NDArray[Any] | int = 0,
    ) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._read, self._background = read, background
        rows, columns = grid.shape
        self._blocks = [grid.blocks[row * columns : (row + 1) * columns] for row in range(rows)]
        self._starts = (
            [line[0].rows[0] for line in self._blocks],
            [block.columns[0] for block in self._blocks[0]],
        )

    def read(self, rows: Span, columns: Span) -> NDArray[Any]:
        """Read a window that lies in the image."""
        result = np.empty((rows[1] - rows[0], columns[1] - columns[0], *self.shape[2:]), self.dtype)
        ranges = (
            range(bisect_right(starts, first) - 1, bisect_right(starts, last - 1))
            for starts, (first, last) in zip(self._starts, (rows, columns), strict=True)
        )
        for row, column in product(*ranges):
            block = self._blocks[row][column]
            pixels = self._read(block)
            source, target = [], []
            for (first, last), (start, stop) in ((rows, block.rows), (columns, block.columns)):
                low, high = max(first, start), min(last, stop)
                source.append(slice(low - start, high - start))
                target.append(slice(low - first, high - first))
            result[tuple(target)] = self._background if pixels is None else pixels[tuple(source)]
        return result

    def spans(self) -> Iterator[tuple[Span, Span]]:
        """Return the rows and columns of all tiles, in the order of rows."""
        rows, columns = (
            [(start, min(start + TILE, length)) for start in range(0, length, TILE)]
            for length in self.shape[:2]
        )
        return product(rows, columns)


def check_target(path: Path) -> None:
    """Raise an `InputError` where the ending says of no format what to write."""
    if path.suffix.lower() not in (*_TIFF, *_ZARR):
        raise InputError(
            path,
            f"the ending '{path.suffix}' is not one of {', '.join((*_TIFF, *_ZARR))}",
            "Choose one of them",
        )


def write_mosaic(
    path: Path, mosaic: Mosaic, digest: bytes, pixel_size: PixelSize | None = None
) -> None:
    """Write an image tile by tile as a compressed TIFF, or as a Zarr array, by its ending.

    It is not written in one step: `atomic.move_into_place` follows. A TIFF has the header of OME,
    since ImageJ's own does not go with tiles; its channels are planes `(channels, height, width)`.

    Args:
        path: Where it shall be.
        mosaic: The image, of one channel or several.
        digest: 16 bytes that identify it.
        pixel_size: The size of a pixel; None where it is not known. A Zarr array does not say it.
    """
    if path.suffix.lower() in _ZARR:
        _write_zarr(path, mosaic)
        return
    with atomic_write(path) as temporary:
        tifffile.imwrite(
            temporary,
            _tiles(mosaic),
            shape=(*mosaic.shape[2:], *mosaic.shape[:2]),
            dtype=mosaic.dtype,
            tile=(TILE, TILE),
            bigtiff=np.prod(mosaic.shape) * mosaic.dtype.itemsize > _LARGEST_TIFF,
            compression="zlib",
            photometric="minisblack",
            maxworkers=1,
            **ome_header("CYX"[-len(mosaic.shape) :], digest, pixel_size),
        )


def _tiles(mosaic: Mosaic) -> Iterator[NDArray[Any]]:
    """Yield the tiles of each channel, one channel after the other."""
    for channel in range(math.prod(mosaic.shape[2:])):
        for rows, columns in mosaic.spans():
            pixels = mosaic.read(rows, columns)
            pixels = pixels if pixels.ndim == 2 else pixels[:, :, channel]
            yield np.pad(pixels, [(0, TILE - length) for length in pixels.shape])


def _write_zarr(path: Path, mosaic: Mosaic) -> None:
    import zarr

    if path.exists():
        shutil.rmtree(path)
    array = zarr.create_array(
        zarr.storage.LocalStore(path),
        shape=mosaic.shape,
        chunks=(TILE, TILE, *mosaic.shape[2:]),
        dtype=mosaic.dtype,
        dimension_names=["y", "x", "channel"][: len(mosaic.shape)],
    )
    for rows, columns in mosaic.spans():
        array[slice(*rows), slice(*columns)] = mosaic.read(rows, columns)
