"""Files with the results of large images: their names, formats and locks."""

import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.io.lazy_image import Array
from unetflow.io.pixel_size import PixelSize
from unetflow.io.tiff_writer import ome_header

TILE = 512
"""Edge of the tiles of a TIFF and of the chunks of a Zarr array, in pixels."""
_MAX_TIFF_BYTES = 2**32 - 2**25
"""Size of the pixels beyond which offsets in a TIFF may not fit into 32 bits."""
_TIFF, _ZARR = (".tif", ".tiff"), (".zarr",)


@dataclass(frozen=True)
class ResultFolders:
    """Folders for the labels and probabilities of large images.

    Attributes:
        labels: Folder of the labels.
        probabilities: Folder of the probabilities.
        suffix: Suffix of the files, which tells the format: `.tif` or `.zarr`.

    Raises:
        InputError: The suffix is another one.
    """

    labels: Path
    probabilities: Path
    suffix: str = ".tif"

    def __post_init__(self) -> None:
        check_target(self.label_of("x"))

    def label_of(self, name: str) -> Path:
        """Return the path of an image's label."""
        return self.labels / f"{name}{self.suffix}"

    def probabilities_of(self, name: str) -> Path:
        """Return the path of an image's probabilities."""
        return self.probabilities / f"{name}{self.suffix}"


def check_target(path: Path) -> None:
    """Raise an `InputError` where the suffix is not that of a known format."""
    if path.suffix.lower() not in (*_TIFF, *_ZARR):
        raise InputError(
            path,
            f"the ending '{path.suffix}' is not one of {', '.join((*_TIFF, *_ZARR))}",
            "Choose one of them",
        )


@contextmanager
def lock_targets(*targets: Path | None) -> Iterator[None]:
    """Keep other processes from writing the same targets while the block runs.

    The operating system releases the lock of a killed process; its hidden file is removed by the
    next process that writes the target.

    Args:
        *targets: Files or folders; None is ignored.

    Raises:
        InputError: Another process writes one of them.
    """
    with ExitStack() as stack:
        for target in filter(None, targets):
            target.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(target.with_name(f".{target.name}.lock"))
            try:
                stack.enter_context(lock.acquire(timeout=0))
            except Timeout as error:
                raise InputError(
                    target,
                    "another process is writing it",
                    "Wait until that has ended, or choose another target",
                ) from error
            # Before the release: a process that has opened the file sees that it is gone.
            stack.callback(_remove, Path(lock.lock_file))
        yield


def _remove(path: Path) -> None:
    with suppress(OSError):  # Windows does not remove open files
        path.unlink()


def write_result(
    path: Path, array: Array, digest: bytes, pixel_size: PixelSize | None = None
) -> None:
    """Write an array tile by tile as a compressed TIFF or as a Zarr array, by the suffix.

    The file does not appear in one step: `atomic.move_into_place` must follow. A TIFF gets an OME
    header, since ImageJ's own does not go with tiles; its channels are planes
    `(channels, height, width)`.

    Args:
        path: The file or folder.
        array: `(height, width)` or `(height, width, channels)`.
        digest: 16 bytes that identify the content.
        pixel_size: The size of a pixel; None where unknown. Not stored in a Zarr array.
    """
    if path.suffix.lower() in _ZARR:
        _write_zarr(path, array)
        return
    with atomic_write(path) as temporary:
        tifffile.imwrite(
            temporary,
            _tiff_tiles(array),
            shape=(*array.shape[2:], *array.shape[:2]),
            dtype=array.dtype,
            tile=(TILE, TILE),
            bigtiff=math.prod(array.shape) * array.dtype.itemsize > _MAX_TIFF_BYTES,
            compression="zlib",
            photometric="minisblack",
            maxworkers=1,
            **ome_header("CYX"[-len(array.shape) :], digest, pixel_size),
        )


def _windows(array: Array) -> Iterator[tuple[slice, slice]]:
    """Return the rows and columns of all tiles, row by row."""
    rows, columns = (
        [slice(start, min(start + TILE, length)) for start in range(0, length, TILE)]
        for length in array.shape[:2]
    )
    return product(rows, columns)


def _tiff_tiles(array: Array) -> Iterator[NDArray[Any]]:
    """Yield the tiles of each channel, one channel after the other."""
    for channel in range(math.prod(array.shape[2:])):
        for window in _windows(array):
            pixels = array[window]
            pixels = pixels if pixels.ndim == 2 else pixels[:, :, channel]
            yield np.pad(pixels, [(0, TILE - length) for length in pixels.shape])


def _write_zarr(path: Path, array: Array) -> None:
    import zarr  # a quarter of a second, which small images need not wait for

    shutil.rmtree(path, ignore_errors=True)
    written = zarr.create_array(
        zarr.storage.LocalStore(path),
        shape=array.shape,
        chunks=(TILE, TILE, *array.shape[2:]),
        dtype=array.dtype,
        dimension_names=["y", "x", "channel"][: len(array.shape)],
    )
    for window in _windows(array):
        written[window] = array[window]
