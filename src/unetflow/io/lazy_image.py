"""An image that is larger than the memory, of which windows are read."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.io.formats.bounds import MAX_CHANNELS, explain_damage
from unetflow.io.formats.pillow import drop_alpha
from unetflow.io.formats.registry import to_image_type
from unetflow.io.pixel_size import PixelSize

Selection = tuple[slice, ...]

MAX_BLOCK_PIXELS = 2**26
"""Width times height that is decoded at once: 8192 x 8192. Beyond it nothing is left of windows."""
_KEPT_BYTES = 2**26
"""Decoded chunks that are kept: neighbouring windows share them, and wide strips whole rows."""


class Array(Protocol):
    """What NumPy's memory maps, Zarr's arrays and tifffile's stores have in common."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its numbers."""

    def __getitem__(self, selection: Selection, /) -> Any:
        """Read a part."""


class CachedChunks:
    """An array that is stored in chunks, with the chunks that were read last kept in memory.

    Args:
        array: The array.
        chunks: The size of a chunk along each axis.
        most_bytes: Of all kept chunks together; one is kept in any case.
    """

    def __init__(
        self, array: Array, chunks: tuple[int, ...], most_bytes: int = _KEPT_BYTES
    ) -> None:
        self.shape, self.dtype = tuple(array.shape), np.dtype(array.dtype)
        self._array, self._chunks, self._most = array, chunks, most_bytes
        self._kept: OrderedDict[tuple[int, ...], NDArray[Any]] = OrderedDict()

    def __getitem__(self, selection: Selection) -> NDArray[Any]:
        result = np.empty([part.stop - part.start for part in selection], self.dtype)
        pairs = list(zip(selection, self._chunks, strict=True))
        for place in product(*(range(s.start // c, -(-s.stop // c)) for s, c in pairs)):
            corners = [number * size for number, size in zip(place, self._chunks, strict=True)]
            chunk = self._read(place, corners)
            source, target = [], []
            for part, corner, length in zip(selection, corners, chunk.shape, strict=True):
                first, last = max(part.start, corner), min(part.stop, corner + length)
                source.append(slice(first - corner, last - corner))
                target.append(slice(first - part.start, last - part.start))
            result[tuple(target)] = chunk[tuple(source)]
        return result

    def _read(self, place: tuple[int, ...], corners: list[int]) -> NDArray[Any]:
        if place in self._kept:
            self._kept.move_to_end(place)
            return self._kept[place]
        parts = zip(corners, self._chunks, self.shape, strict=True)
        whole = tuple(slice(corner, min(corner + c, n)) for corner, c, n in parts)
        chunk = self._kept[place] = np.asarray(self._array[whole])
        while len(self._kept) > 1 and len(self._kept) * chunk.nbytes > self._most:
            self._kept.popitem(last=False)
        return chunk


class LazyImage:
    """An image of which only the windows that are asked for are read.

    It is a context manager that closes its file.

    Args:
        where: Its file, for error messages.
        array: Its numbers.
        axes: A letter for each axis of the array: Y and X are rows and columns, C or S channels;
            axes with other letters have the size 1.
        identity: What changes when the pixels change, as plain values that JSON can hold.
        has_alpha: Whether the last channel is an alpha channel, to be dropped.
        close: Called when the image is no longer needed.

    Raises:
        InputError: The axes are not those of one image.
    """

    def __init__(
        self,
        where: object,
        array: Array,
        axes: str,
        identity: Mapping[str, Any],
        *,
        has_alpha: bool = False,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        sizes = dict(zip(axes, array.shape, strict=True))
        stacked = [axis for axis, size in sizes.items() if axis not in "YXCS" and size != 1]
        if len(sizes) < len(axes) or not {"Y", "X"} <= sizes.keys() or stacked:
            raise InputError(
                where,
                f"its axes {axes} of {tuple(array.shape)} are not those of one image",
                "Save the one image to be segmented as a file of its own",
            )
        channels = sizes.get("C", 1) * sizes.get("S", 1) - has_alpha
        if not 1 <= channels <= MAX_CHANNELS or 0 in sizes.values():
            raise InputError(
                where,
                f"there are no images of {channels} channels and {tuple(array.shape)} numbers",
                f"Keep the channels that matter, at most {MAX_CHANNELS}",
            )
        self.where, self._array, self._axes = where, array, axes
        self._alpha, self._close = has_alpha, close
        self.shape = (sizes["Y"], sizes["X"], channels)
        """Height, width and channels."""
        native = np.dtype(array.dtype).newbyteorder("=")
        self.dtype = to_image_type(where, np.zeros(1, native)).dtype
        """Of what is read: uint8, uint16 or float32; see `readers.read_image`."""
        self.identity = {**identity, "shape": list(self.shape), "dtype": str(self.dtype)}
        """What changes when the pixels change."""
        self.pixel_size: PixelSize | None = None
        """The size of a pixel; None if unknown."""
        self.reopen: Callable[[], LazyImage] | None = None
        """Opens it again, in another process too; None where there is no file."""

    def read(self, rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.generic]:
        """Read a window.

        Args:
            rows: The first one, and one after the last.
            columns: The same.

        Returns:
            `(rows, columns, channels)`.

        Raises:
            InputError: The file is damaged, or holds numbers that are not finite.
        """
        parts = {"Y": slice(*rows), "X": slice(*columns)}
        whole = [slice(0, size) for size in self._array.shape]
        selection = (parts.get(axis, part) for axis, part in zip(self._axes, whole, strict=True))
        try:
            pixels = np.asarray(self._array[tuple(selection)])
        except InputError:
            raise
        except Exception as error:  # decoders raise anything on damaged bytes
            raise InputError(self.where, *self._explain(error)) from error
        places = [self._axes.index(axis) for axis in "YX"]
        pixels = np.moveaxis(pixels, places, (0, 1))
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        if self._alpha:
            pixels = drop_alpha(self.where, pixels).reshape(*pixels.shape[:2], -1)
        native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
        return to_image_type(self.where, np.ascontiguousarray(native))

    def _explain(self, error: Exception) -> tuple[str, str]:
        if isinstance(self.where, Path):
            return explain_damage(self.where, error)
        return f"it cannot be read ({error})", "Export it again from its source"

    def close(self) -> None:
        """Close the file."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def check_block(where: object, width: int, height: int, max_pixels: int) -> None:
    """Refuse an image whose tiles, strips or chunks are too large to be decoded one by one."""
    if width * height > max_pixels:
        raise InputError(
            where,
            f"its parts of {width} x {height} pixels are more than the allowed {max_pixels}, "
            "and each is decoded whole",
            "Save it with smaller tiles, or as an uncompressed TIFF, which needs no decoding",
        )
