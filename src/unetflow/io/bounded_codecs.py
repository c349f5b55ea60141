"""Chunks of Zarr unpacked into no more than the declared chunk can hold.

Zarr asks its codecs for whatever a chunk unpacks to, and compares the size afterwards: 30 kilobytes
may become a gigabyte first, and more. Here the header, or the decoder's own bound, decides before.
"""

import asyncio
import math
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import imagecodecs
import zarr
from numcodecs.abc import Codec
from zarr.abc.codec import BytesBytesCodec

_NUMBER = 8
"""Bytes of the largest number that a filter may store instead of a pixel's own."""


def bound_codecs(array: Any) -> Any:
    """Return the same array, whose chunks unpack to no more than their declared size needs.

    Args:
        array: A `zarr.Array` whose codecs are all known here or don't change the size.
    """
    metadata = array.metadata
    if metadata.zarr_format == 3:
        bounded = replace(metadata, codecs=_bound_all(metadata.codecs))
    elif metadata.compressor is None:
        return array
    else:
        most = _largest(metadata.chunks, max(array.dtype.itemsize, _NUMBER))
        bounded = replace(metadata, compressor=_BoundedCompressor(metadata.compressor, most))
    return zarr.Array(zarr.AsyncArray(bounded, array.store_path))


def _bound_all(codecs: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(map(_bound, codecs))


def _bound(codec: Any) -> Any:
    if hasattr(codec, "index_codecs"):  # of shards, whose parts have codecs of their own
        inner, index = _bound_all(codec.codecs), _bound_all(codec.index_codecs)
        return replace(codec, codecs=inner, index_codecs=index)
    return _BoundedCodec(codec) if type(codec).__name__ in _UNPACK else codec


@dataclass(frozen=True)
class _BoundedCodec(BytesBytesCodec):
    """A codec of Zarr's version 3, for reading."""

    codec: Any
    is_fixed_size = False

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        most = _largest(chunk_spec.shape, chunk_spec.dtype.to_native_dtype().itemsize)
        unpack = _UNPACK[type(self.codec).__name__]
        unpacked = await asyncio.to_thread(unpack, chunk_bytes.to_bytes(), most)
        return chunk_spec.prototype.buffer.from_bytes(unpacked)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        """Refuse, as the codec itself does: nobody knows it beforehand."""
        raise NotImplementedError


class _BoundedCompressor(Codec):
    """A compressor of Zarr's version 2, for reading.

    Args:
        codec: What it stands for.
        most: Bytes that a chunk may unpack to.
    """

    codec_id = "bounded"  # it is never written

    def __init__(self, codec: Any, most: int) -> None:
        self._codec, self._most = codec, most

    def decode(self, buf: Any, out: Any = None) -> bytes:
        return _UNPACK[type(self._codec).__name__](bytes(buf), self._most)

    def encode(self, buf: Any) -> Any:
        return self._codec.encode(buf)


def _largest(shape: Iterable[int], itemsize: int) -> int:
    """Return how many bytes a chunk may unpack to.

    They are a little more than its numbers, since it may be packed twice, and packing what cannot
    be packed makes it longer.
    """
    numbers = math.prod(shape) * itemsize
    return numbers + numbers // 64 + 4096


def _refuse(size: object, most: int) -> ValueError:
    return ValueError(f"a chunk unpacks to {size} bytes, where its size allows {most}")


def _unpack_blosc(packed: bytes, most: int) -> bytes:
    """Unpack what begins with Blosc's header of 16 bytes."""
    size, block, length = struct.unpack_from("<III", packed, 4)
    if max(size, block) > most:  # buffers are made of both sizes
        raise _refuse(max(size, block), most)
    if length != len(packed):
        raise ValueError("a chunk is cut off")
    return bytes(imagecodecs.blosc_decode(packed, numthreads=1))


def _unpack_lz4(packed: bytes, most: int) -> bytes:
    """Unpack what begins with its size, as numcodecs writes it."""
    (size,) = struct.unpack_from("<I", packed)
    if size > most:
        raise _refuse(size, most)
    return bytes(imagecodecs.lz4_decode(packed[4:], out=size))


def _unpack_zstd(packed: bytes, most: int) -> bytes:
    return bytes(imagecodecs.zstd_decode(packed, out=most))


def _unpack_deflate(packed: bytes, most: int, header: int) -> bytes:
    """Unpack one stream after the other; `header` is zlib's `wbits`."""
    parts, left = [], most
    while packed:
        stream = zlib.decompressobj(header)
        parts.append(stream.decompress(packed, left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise _refuse("more", most)
        if not stream.eof:
            raise ValueError("a chunk is cut off")
        packed = stream.unused_data
    return b"".join(parts)


def _unpack_gzip(packed: bytes, most: int) -> bytes:
    return _unpack_deflate(packed, most, zlib.MAX_WBITS + 16)


def _unpack_zlib(packed: bytes, most: int) -> bytes:
    return _unpack_deflate(packed, most, zlib.MAX_WBITS)


_UNPACK: dict[str, Callable[[bytes, int], bytes]] = {
    "BloscCodec": _unpack_blosc,
    "GzipCodec": _unpack_gzip,
    "ZstdCodec": _unpack_zstd,
    "Blosc": _unpack_blosc,
    "GZip": _unpack_gzip,
    "Zlib": _unpack_zlib,
    "Zstd": _unpack_zstd,
    "LZ4": _unpack_lz4,
}
"""What unpacks instead of the codecs of a name, of Zarr's version 3 and 2."""
