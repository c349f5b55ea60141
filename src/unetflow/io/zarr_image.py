"""Zarr arrays and OME-Zarr images, opened without decoding them and decoded in bounded memory.

Zarr lets its codecs decompress a chunk to any size and compares the size afterwards: 30 kilobytes
may become a gigabyte first. Here the header or the decoder's own limit decides before.
"""

import asyncio
import hashlib
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import zarr
from numcodecs.abc import Codec
from zarr.abc.codec import BytesBytesCodec

from unetflow.core.errors import InputError
from unetflow.io.files import file_signature
from unetflow.io.formats.bounds import MAX_CHANNELS
from unetflow.io.lazy_image import (
    MAX_CHUNK_PIXELS,
    CachedChunks,
    LazyImage,
    check_chunk,
    choose_level,
)
from unetflow.io.pixel_size import PixelSize, make_pixel_size

_PIXEL_KINDS = "buif"
_MAX_ITEM_BYTES = 8
"""Size of the largest value that a filter may store instead of a pixel's own."""


def open_large_zarr(path: Path, level: int = 0, max_pixels: int = MAX_CHUNK_PIXELS) -> LazyImage:
    """Open the folder of a Zarr array or an OME-Zarr image; see `image_file.open_large`.

    An array without axis names is `(height, width)` or `(height, width, channels)`.
    """
    if not path.is_dir():
        raise InputError(path, "the folder does not exist", "Check the path")
    try:
        node = zarr.open(zarr.storage.LocalStore(path, read_only=True), mode="r")
        if isinstance(node, zarr.Array):
            array, axes, size = node, _array_axes(node), None
            if level:
                raise InputError(path, f"it is an array without level {level}", "Use level 0")
        else:
            image = _only_image(path, node)
            array = node[choose_level(path, image["datasets"], level)["path"]]
            axes = "".join(axis["name"][0] for axis in image["axes"]).upper()
            size = _pixel_size(image, axes)
        _check_codecs(path, array)
        parts = [array.chunks]  # shapes of what is decoded at once
        if array.shards is not None and len(array.metadata.codecs) > 1:  # compressed shards
            parts.append(array.shards)
        for part in parts:
            _check_part(path, dict(zip(axes, part, strict=True)), max_pixels)
        chunks = CachedChunks(_bound_codecs(array), array.chunks)
    except InputError:
        raise
    except Exception as error:  # zarr raises anything on damaged metadata
        problem = f"it is not a Zarr array or an OME-Zarr image ({error})"
        raise InputError(path, problem, "Export it again") from error
    return LazyImage(
        path,
        chunks,
        axes,
        {"image": _folder_signature(path), "level": level},
        pixel_size=size,
        reopen=partial(open_large_zarr, path.absolute(), level, max_pixels),
    )


def _array_axes(array: Any) -> str:
    names = getattr(array.metadata, "dimension_names", None)
    if names and all(isinstance(name, str) and name for name in names):
        return "".join(name[0] for name in names).upper()
    axes: int = array.ndim
    return {2: "YX", 3: "YXC"}.get(axes, "?" * axes)


def _only_image(path: Path, group: Any) -> Mapping[str, Any]:
    """Return the metadata of the image in a group (OME-NGFF, from version 0.4 on)."""
    attributes = group.attrs.asdict()
    images: list[Mapping[str, Any]] = attributes.get("ome", attributes).get("multiscales", [])
    if len(images) != 1:
        problem = f"it is a group with {len(images)} images instead of one"
        raise InputError(path, problem, "Give the folder of the one image, or of its array")
    return images[0]


def _pixel_size(image: Mapping[str, Any], axes: str) -> PixelSize | None:
    """Return the size of a pixel at full resolution, or None where it is not known."""
    try:
        steps = [1.0] * len(axes)
        for described in (image["datasets"][0], image):
            for change in described.get("coordinateTransformations", ()):
                if change["type"] == "scale":
                    steps = [a * float(b) for a, b in zip(steps, change["scale"], strict=True)]
        scale = dict(zip(axes, steps, strict=True))
        units = {axis["name"][0].upper(): axis.get("unit", "") for axis in image["axes"]}
        unit = units["Y"]
        return make_pixel_size(scale["X"], scale["Y"], unit) if units["X"] == unit else None
    except (AttributeError, KeyError, TypeError, ValueError):  # an image is readable without it
        return None


def _folder_signature(folder: Path) -> str:
    """Return a digest that changes when a file in a folder changes, without reading the files."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {file_signature(path)}\n".encode())
    return digest.hexdigest()


def _check_part(path: Path, sizes: dict[str, int], max_pixels: int) -> None:
    """Refuse a large chunk, even along axes along which the image itself is small."""
    width, height = sizes.get("X", 1), sizes.get("Y", 1)
    check_chunk(path, width, height, max_pixels)
    others = math.prod(sizes.values()) // (width * height)
    if others > MAX_CHANNELS:
        raise InputError(
            path,
            f"its chunks hold {others} values of each pixel, more than the allowed {MAX_CHANNELS}",
            "Save it with chunks of one image",
        )


def _check_codecs(path: Path, array: Any) -> None:
    """Refuse values that are not pixels, and codecs that could do more than decode."""
    if array.dtype.kind not in _PIXEL_KINDS:
        raise InputError(path, f"it holds {array.dtype}, not pixels", "Save it as whole numbers")
    filters = getattr(array.metadata, "filters", None) or ()
    if array.metadata.zarr_format == 2:
        codecs = [codec for codec in (array.metadata.compressor, *filters) if codec is not None]
    else:
        codecs = list(array.metadata.codecs)
        for codec in codecs:  # grows by the codecs of shards
            codecs += [*getattr(codec, "codecs", ()), *getattr(codec, "index_codecs", ())]
    unknown = sorted({type(codec).__name__ for codec in codecs} - _CODECS)
    if unknown:
        problem = f"its chunks are packed with {', '.join(unknown)}"
        raise InputError(path, problem, "Save it with Blosc, Zstd, Gzip or without compression")
    for dtype in (getattr(one, "dtype", array.dtype) for one in filters):
        if dtype.kind not in _PIXEL_KINDS:
            raise InputError(path, f"a filter makes {dtype} of it", "Save it without filters")


def _bound_codecs(array: Any) -> Any:
    """Return the same array with codecs that decode no more than a chunk can hold.

    All its codecs are known here or do not change the size.
    """
    metadata = array.metadata
    if metadata.zarr_format == 3:
        bounded = replace(metadata, codecs=tuple(map(_bound, metadata.codecs)))
    elif metadata.compressor is None:
        return array
    else:
        limit = _max_bytes(metadata.chunks, max(array.dtype.itemsize, _MAX_ITEM_BYTES))
        bounded = replace(metadata, compressor=_BoundedCompressor(metadata.compressor, limit))
    return zarr.Array(zarr.AsyncArray(bounded, array.store_path))


def _bound(codec: Any) -> Any:
    if hasattr(codec, "index_codecs"):  # of shards, whose parts have codecs of their own
        inner, index = (tuple(map(_bound, part)) for part in (codec.codecs, codec.index_codecs))
        return replace(codec, codecs=inner, index_codecs=index)
    return _BoundedCodec(codec) if type(codec).__name__ in _DECODERS else codec


@dataclass(frozen=True)
class _BoundedCodec(BytesBytesCodec):
    """A codec of Zarr's version 3, for reading."""

    codec: Any
    is_fixed_size = False

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        limit = _max_bytes(chunk_spec.shape, chunk_spec.dtype.to_native_dtype().itemsize)
        decode = _DECODERS[type(self.codec).__name__]
        decoded = await asyncio.to_thread(decode, chunk_bytes.to_bytes(), limit)
        return chunk_spec.prototype.buffer.from_bytes(decoded)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        """Raise an error, as the codec itself does: the size is not known in advance."""
        raise NotImplementedError


class _BoundedCompressor(Codec):
    """A compressor of Zarr's version 2, for reading; `limit` is that of a chunk in bytes."""

    codec_id = "bounded"  # never written

    def __init__(self, codec: Any, limit: int) -> None:
        self._codec, self._limit = codec, limit

    def decode(self, buf: Any, out: Any = None) -> bytes:
        return _DECODERS[type(self._codec).__name__](bytes(buf), self._limit)

    def encode(self, buf: Any) -> Any:
        return self._codec.encode(buf)


def _max_bytes(shape: Iterable[int], itemsize: int) -> int:
    """Return the largest size of a decoded chunk in bytes.

    It is a little more than the values take: a chunk may be compressed twice, and compressing what
    cannot be compressed makes it longer.
    """
    values = math.prod(shape) * itemsize
    return values + values // 64 + 4096


def _too_large(size: object, limit: int) -> ValueError:
    return ValueError(f"a chunk unpacks to {size} bytes, where its size allows {limit}")


def _decode_blosc(data: bytes, limit: int) -> bytes:
    """Decode data that begins with Blosc's header of 16 bytes."""
    size, block, length = struct.unpack_from("<III", data, 4)
    if max(size, block) > limit:  # buffers of both sizes are allocated
        raise _too_large(max(size, block), limit)
    if length != len(data):
        raise ValueError("a chunk is cut off")
    return bytes(imagecodecs.blosc_decode(data, numthreads=1))


def _decode_lz4(data: bytes, limit: int) -> bytes:
    """Decode data that begins with its size, as numcodecs writes it."""
    (size,) = struct.unpack_from("<I", data)
    if size > limit:
        raise _too_large(size, limit)
    return bytes(imagecodecs.lz4_decode(data[4:], out=size))


def _decode_zstd(data: bytes, limit: int) -> bytes:
    return bytes(imagecodecs.zstd_decode(data, out=limit))


def _decode_deflate(data: bytes, limit: int, wbits: int) -> bytes:
    """Decode one stream after the other; see `zlib.decompressobj`."""
    parts, left = [], limit
    while data:
        stream = zlib.decompressobj(wbits)
        parts.append(stream.decompress(data, left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise _too_large("more", limit)
        if not stream.eof:
            raise ValueError("a chunk is cut off")
        data = stream.unused_data
    return b"".join(parts)


_decode_gzip = partial(_decode_deflate, wbits=zlib.MAX_WBITS + 16)
_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "BloscCodec": _decode_blosc,
    "GzipCodec": _decode_gzip,
    "ZstdCodec": _decode_zstd,
    "Blosc": _decode_blosc,
    "GZip": _decode_gzip,
    "Zlib": partial(_decode_deflate, wbits=zlib.MAX_WBITS),
    "Zstd": _decode_zstd,
    "LZ4": _decode_lz4,
}
"""Bounded decoders by the names of the codecs of Zarr's versions 3 and 2."""
_CODECS = set(_DECODERS) | {"BytesCodec", "TransposeCodec", "Crc32cCodec", "ShardingCodec"}
_CODECS |= {"Shuffle", "Delta"}
"""Accepted codecs of versions 3 and 2: other codecs may run code from a chunk."""
