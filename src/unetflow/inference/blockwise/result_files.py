"""Files with the results of large images: their names, formats and locks."""

import math
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
from unetflow.io.pixel_size import PixelSize
from unetflow.io.tiff_writer import ome_header

TILE = 512
"""Edge of the tiles of a TIFF and of the chunks of a Zarr array, in pixels."""
_MAX_TIFF_BYTES = 2**32 - 2**25
"""Size of the pixels beyond which offsets in a TIFF may not fit into 32 bits."""
_ZARR = ".zarr"
_SUFFIXES = (".tif", ".tiff", _ZARR)


@dataclass(frozen=True)
class ResultFolders:
    """Folders for the labels, probabilities and object numbers of large images.

    The suffix of the files tells the format, `.tif` or `.zarr`; another one is an `InputError`.
    Without a folder for the object numbers, they go to `instances` beside the folder of the labels.
    """

    labels: Path
    probabilities: Path
    suffix: str = ".tif"
    instances: Path | None = None

    def __post_init__(self) -> None:
        check_targets(self.label_of("x"))

    def label_of(self, name: str) -> Path:
        """Return the path of an image's label."""
        return self.labels / f"{name}{self.suffix}"

    def probabilities_of(self, name: str) -> Path:
        """Return the path of an image's probabilities."""
        return self.probabilities / f"{name}{self.suffix}"

    def instances_of(self, name: str) -> Path:
        """Return the path of the numbers of an image's objects."""
        folder = self.instances or self.labels.with_name("instances")
        return folder / f"{name}{self.suffix}"


def check_targets(*targets: Path | None) -> None:
    """Raise an `InputError` where a suffix is not that of a known format, or two are one file."""
    paths = list(filter(None, targets))
    for path in paths:
        if path.suffix.lower() not in _SUFFIXES:
            raise InputError(
                path,
                f"the ending '{path.suffix}' is not one of {', '.join(_SUFFIXES)}",
                "Choose one of them",
            )
    if len(set(paths)) < len(paths):
        raise InputError(
            paths[0],
            "labels, probabilities or instances have one target",
            "Give them different names",
        )


@contextmanager
def lock_targets(*targets: Path | None) -> Iterator[None]:
    """Keep other processes from writing the same targets while the block runs.

    The operating system releases the lock of a killed process; its hidden file is removed by the
    next process that writes the target.

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


def write_result(path: Path, array: Any, digest: bytes, pixel_size: PixelSize | None) -> None:
    """Write a Zarr array tile by tile as a compressed TIFF or as a Zarr array, by the suffix.

    The file does not appear in one step: `atomic.move_into_place` must follow. A TIFF gets an OME
    header, since ImageJ's own does not go with tiles; its channels are planes.

    Args:
        path: The file or folder.
        array: `(height, width)` or `(height, width, channels)`, with chunks of `TILE`.
        digest: 16 bytes that identify the content.
        pixel_size: The size of a pixel; None where unknown. Not stored in a Zarr array.
    """
    if path.suffix.lower() == _ZARR:
        import zarr  # a quarter of a second, which small images need not wait for

        names = ["y", "x", "channel"][: array.ndim]
        store = zarr.storage.LocalStore(path)
        zarr.from_array(
            store, data=array, compressors="auto", dimension_names=names, overwrite=True
        )
        return
    with atomic_write(path) as temporary:
        tifffile.imwrite(
            temporary,
            _tiff_tiles(array),
            shape=(*array.shape[2:], *array.shape[:2]),
            dtype=array.dtype,
            tile=(TILE, TILE),
            bigtiff=array.nbytes > _MAX_TIFF_BYTES,
            compression="zlib",
            photometric="minisblack",
            maxworkers=1,
            **ome_header("CYX"[-array.ndim :], digest, pixel_size),
        )


def _tiff_tiles(array: Any) -> Iterator[NDArray[Any]]:
    """Yield the tiles of each channel, one channel after the other, each row by row."""
    starts = product(*(range(0, length, TILE) for length in array.shape[:2]))
    for channel, (row, column) in product(range(math.prod(array.shape[2:])), list(starts)):
        pixels = array[row : row + TILE, column : column + TILE]
        pixels = pixels if pixels.ndim == 2 else pixels[:, :, channel]
        yield np.pad(pixels, [(0, TILE - length) for length in pixels.shape])
