"""Images larger than memory, of which windows are read."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import PixelArray
from unetflow.io.formats.bounds import MAX_CHANNELS, explain_damage
from unetflow.io.formats.picture_files import drop_alpha
from unetflow.io.formats.readers import to_image_type
from unetflow.io.pixel_size import PixelSize

Selection = tuple[slice, ...]
Level = TypeVar("Level")
MAX_CHUNK_PIXELS = 2**26
"""Width times height that is decoded at once, 8192 x 8192: beyond it windows save no memory."""
_CACHE_BYTES = 2**26
"""Size of the decoded chunks that are kept, since neighbouring windows share them."""


class Array(Protocol):
    """The common part of NumPy's memory maps, Zarr's arrays and tifffile's stores."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""

    def __getitem__(self, selection: Selection, /) -> Any:
        """Read a part."""


class CachedChunks:
    """An array stored in chunks, with the chunks that were read last kept in memory.

    `chunks` is the size of a chunk along each axis. Chunks of `max_bytes` are kept, at least one.
    """

    def __init__(
        self, array: Array, chunks: tuple[int, ...], max_bytes: int = _CACHE_BYTES
    ) -> None:
        self.shape, self.dtype, self._chunks = tuple(array.shape), np.dtype(array.dtype), chunks
        shape, most = self.shape, max_bytes // (math.prod(chunks) * self.dtype.itemsize)

        @lru_cache(maxsize=max(1, most))  # without a reference to self, which would keep it alive
        def read(place: tuple[int, ...]) -> NDArray[Any]:
            sizes = zip(place, chunks, shape, strict=True)
            whole = tuple(slice(n * size, min((n + 1) * size, length)) for n, size, length in sizes)
            return np.asarray(array[whole])

        self._read = read

    def __getitem__(self, selection: Selection) -> NDArray[Any]:
        result = np.empty([part.stop - part.start for part in selection], self.dtype)
        pairs = list(zip(selection, self._chunks, strict=True))
        for place in product(*(range(s.start // c, -(-s.stop // c)) for s, c in pairs)):
            chunk = self._read(place)
            source, target = [], []
            corners = (number * size for number, size in zip(place, self._chunks, strict=True))
            for part, corner, length in zip(selection, corners, chunk.shape, strict=True):
                first, last = max(part.start, corner), min(part.stop, corner + length)
                source.append(slice(first - corner, last - corner))
                target.append(slice(first - part.start, last - part.start))
            result[tuple(target)] = chunk[tuple(source)]
        return result


class LazyImage(AbstractContextManager["LazyImage"]):
    """An open image of which windows are read; as a context manager it closes its file.

    Args:
        where: The file, for error messages.
        array: The stored values.
        axes: A letter for each axis of the array: Y and X are rows and columns, C or S channels;
            other axes must have the size 1.
        identity: Values that change when the pixels change, as JSON can hold them. The attribute
            also holds the shape and the type.
        pixel_size: The size of a pixel; None where unknown.
        has_alpha: Whether the last channel is an alpha channel, which is dropped.
        reopen: Opens the image again, in another process too; None where it is not a file.
        close: Called when the image is closed.

    Attributes:
        shape: Height, width and channels.
        dtype: Type of the pixels that are read: uint8, uint16 or float32.

    Raises:
        InputError: The axes are not those of one image.
    """

    def __init__(
        self,
        where: Path,
        array: Array,
        axes: str,
        identity: Mapping[str, Any],
        *,
        pixel_size: PixelSize | None = None,
        has_alpha: bool = False,
        reopen: Callable[[], "LazyImage"] | None = None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        sizes = dict(zip(axes, array.shape, strict=True))
        stacked = [axis for axis, size in sizes.items() if axis not in "YXCS" and size != 1]
        if len(sizes) < len(axes) or not {"Y", "X"} <= sizes.keys() or stacked:
            problem = f"its axes {axes} of {tuple(array.shape)} are not those of one image"
            fix = "Save the one image to be segmented as a file of its own"
            raise InputError(where, problem, fix)
        channels = sizes.get("C", 1) * sizes.get("S", 1) - has_alpha
        if not 1 <= channels <= MAX_CHANNELS or 0 in sizes.values():
            problem = f"an image cannot have {channels} channels and the shape {tuple(array.shape)}"
            fix = f"Keep the channels that matter, at most {MAX_CHANNELS}"
            raise InputError(where, problem, fix)
        self.where, self._array, self._axes = where, array, axes
        self._has_alpha, self.close = has_alpha, close
        self.shape = (sizes["Y"], sizes["X"], channels)
        native = np.dtype(array.dtype).newbyteorder("=")
        self.dtype = to_image_type(where, np.zeros(1, native)).dtype
        self.identity = {**identity, "shape": list(self.shape), "dtype": str(self.dtype)}
        self.pixel_size, self.reopen = pixel_size, reopen

    def read(self, rows: tuple[int, int], columns: tuple[int, int]) -> PixelArray:
        """Read a window `(rows, columns, channels)`: from a first row and column to before a last.

        Raises:
            InputError: The file is damaged, or holds values that are not finite.
        """
        return to_image_type(self.where, self._read_stored(rows, columns))

    def read_numbers(
        self, rows: tuple[int, int], columns: tuple[int, int]
    ) -> NDArray[np.unsignedinteger]:
        """Read a window `(rows, columns)` of an image of object numbers, exactly as stored.

        Raises:
            InputError: The file is damaged, or holds no numbers of objects.
        """
        numbers = self._read_stored(rows, columns)
        if numbers.dtype.kind != "u" or numbers.shape[2] != 1:
            raise InputError(self.where, "it does not number objects", "Segment the image again")
        return numbers[:, :, 0]

    def _read_stored(self, rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[Any]:
        """Read the values of a window without an alpha channel, in this machine's byte order."""
        parts = {"Y": slice(*rows), "X": slice(*columns)}
        whole = [slice(0, size) for size in self._array.shape]
        selection = (parts.get(axis, part) for axis, part in zip(self._axes, whole, strict=True))
        try:
            pixels = np.asarray(self._array[tuple(selection)])
        except InputError:
            raise
        except Exception as error:  # decoders raise anything on damaged bytes
            raise InputError(self.where, *explain_damage(self.where, error)) from error
        pixels = np.moveaxis(pixels, [self._axes.index(axis) for axis in "YX"], (0, 1))
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        if self._has_alpha:
            pixels = drop_alpha(self.where, pixels).reshape(*pixels.shape[:2], -1)
        native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
        return np.ascontiguousarray(native)

    def __exit__(self, *_: object) -> None:
        self.close()


def choose_level(where: object, levels: Sequence[Level], level: int) -> Level:
    """Return a level of a pyramid, or raise an `InputError` where it does not exist."""
    if not 0 <= level < len(levels):
        problem = f"it has {len(levels)} levels, no level {level}"
        raise InputError(where, problem, f"Use 0 to {len(levels) - 1}")
    return levels[level]


def check_chunk(where: object, width: int, height: int, max_pixels: int) -> None:
    """Refuse an image whose tiles, strips or chunks are too large to be decoded one by one."""
    if width * height > max_pixels:
        raise InputError(
            where,
            f"its parts of {width} x {height} pixels are more than the allowed {max_pixels}, "
            "and each is decoded whole",
            "Save it with smaller tiles, or as an uncompressed TIFF, which needs no decoding",
        )
