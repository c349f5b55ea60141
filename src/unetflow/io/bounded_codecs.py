"""Decoding of Zarr chunks in bounded memory.

Zarr lets its codecs decompress a chunk to any size and compares the size afterwards: 30 kilobytes
may become a gigabyte first. Here the header or the decoder's own limit decides before.
"""

import asyncio
import math
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import imagecodecs
import zarr
from numcodecs.abc import Codec
from zarr.abc.codec import BytesBytesCodec

_MAX_ITEM_BYTES = 8
"""Size of the largest value that a filter may store instead of a pixel's own."""


def bound_codecs(array: Any) -> Any:
    """Return the same array with codecs that decode no more than a chunk can hold.

    Args:
        array: A `zarr.Array` whose codecs are all known here or do not change the size.
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
    """A compressor of Zarr's version 2, for reading.

    Args:
        codec: The original compressor.
        limit: Largest size of a decoded chunk in bytes.
    """

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


_decode_zlib = partial(_decode_deflate, wbits=zlib.MAX_WBITS)
_decode_gzip = partial(_decode_deflate, wbits=zlib.MAX_WBITS + 16)
_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "BloscCodec": _decode_blosc,
    "GzipCodec": _decode_gzip,
    "ZstdCodec": _decode_zstd,
    "Blosc": _decode_blosc,
    "GZip": _decode_gzip,
    "Zlib": _decode_zlib,
    "Zstd": _decode_zstd,
    "LZ4": _decode_lz4,
}
"""Bounded decoders by the names of the codecs of Zarr's versions 3 and 2."""
