"""Decoding of Zarr chunks, of which some are forged to exceed their size."""

import gzip
import json
import struct
import subprocess
import sys
import zlib
from functools import cache, partial
from pathlib import Path

import google_crc32c
import imagecodecs
import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ZstdCodec

from tests.support.large_files import grey
from unetflow.core.errors import InputError
from unetflow.io.image_file import open_large

ROOT = Path(__file__).parents[2]
BOMB = 2**28
"""Size of a decoded forged chunk in bytes; a chunk of the image has 4096."""

NEW = {
    **{f"blosc {name}": BloscCodec(cname=name) for name in ("lz4", "lz4hc", "zstd", "zlib")},
    "blosclz": BloscCodec(cname="blosclz", shuffle="shuffle"),
    "gzip": GzipCodec(),
    "zstd": ZstdCodec(),
    "zstd with its sum": ZstdCodec(level=9, checksum=True),
    "several": [ZstdCodec(), GzipCodec(), Crc32cCodec()],
    "nothing": None,
}
OLD = {
    **{f"blosc {name}": numcodecs.Blosc(cname=name) for name in numcodecs.blosc.list_compressors()},
    "unshuffled": numcodecs.Blosc(shuffle=numcodecs.Blosc.NOSHUFFLE),
    "bits": numcodecs.Blosc(shuffle=numcodecs.Blosc.BITSHUFFLE),
    "gzip": numcodecs.GZip(),
    "zlib": numcodecs.Zlib(),
    "zstd": numcodecs.Zstd(),
    "lz4": numcodecs.LZ4(),
    "nothing": None,
}


def read_whole(path):
    with open_large(path) as image:
        return image.read((0, image.shape[0]), (0, image.shape[1]))[:, :, 0]


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("codec", NEW)
@pytest.mark.parametrize("shards", [None, (64, 96)])
def test_chunks_of_version_3_are_read_as_zarr_reads_them(tmp_path, codec, shards, noise):
    pixels = grey() if noise else np.full((90, 110), 7, "u2")
    path = tmp_path / "a.zarr"
    options = {"chunks": (32, 48), "shards": shards, "compressors": NEW[codec]}
    zarr.create_array(str(path), data=pixels, **options)
    np.testing.assert_array_equal(read_whole(path), pixels)


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("codec", OLD)
def test_chunks_of_version_2_are_read_as_zarr_reads_them(tmp_path, codec, noise):
    pixels = grey() if noise else np.full((90, 110), 7, "u2")
    path = tmp_path / "a.zarr"
    options = {"chunks": (32, 48), "compressors": OLD[codec], "zarr_format": 2}
    zarr.create_array(str(path), data=pixels, **options)
    np.testing.assert_array_equal(read_whole(path), pixels)


def test_filters_of_version_2_are_applied(tmp_path):
    filters = [numcodecs.Delta("<u2", "<i8"), numcodecs.Shuffle(8)]
    path, options = tmp_path / "a.zarr", {"chunks": (32, 48), "zarr_format": 2}
    zarr.create_array(
        str(path), data=grey(), filters=filters, compressors=numcodecs.Zstd(), **options
    )
    np.testing.assert_array_equal(read_whole(path), grey())


@settings(deadline=None, max_examples=40)
@given(data=st.binary(max_size=3000), parts=st.integers(1, 3))
def test_gzip_in_several_members_is_read_whole(tmp_path_factory, data, parts):
    size = max(len(data), 1)
    path = tmp_path_factory.mktemp("zarr") / "a.zarr"
    pixels = np.frombuffer(data.ljust(size, b"\1"), "u1").reshape(1, size)
    zarr.create_array(str(path), data=pixels, chunks=(1, size), compressors=GzipCodec())
    step = -(-size // parts)
    pieces = [pixels.tobytes()[first : first + step] for first in range(0, size, step)]
    chunk = path / "c/0/0"
    chunk.parent.mkdir(parents=True, exist_ok=True)  # a chunk of zeros is not written
    chunk.write_bytes(b"".join(map(gzip.compress, pieces)))
    np.testing.assert_array_equal(read_whole(path), pixels)


def pack_lz4(data):
    return struct.pack("<I", len(data)) + imagecodecs.lz4_encode(data)


def pack_zstd_without_size(data):
    """Return a frame whose header lacks the size, as streaming encoders write it."""
    frame = imagecodecs.zstd_encode(data)
    assert frame[4] == 0b10_000000  # the size stands in four bytes behind that of the window
    streamed = frame[:4] + bytes([0]) + frame[5:6] + frame[10:]
    assert len(numcodecs.Zstd().decode(streamed)) == len(data)
    return streamed


blosc_zstd = numcodecs.Blosc(cname="zstd").encode
fast_gzip = partial(gzip.compress, compresslevel=1)

BOMBS = {
    "3 blosc": (BloscCodec(), blosc_zstd),
    "3 gzip": (GzipCodec(), fast_gzip),
    "3 zstd": (ZstdCodec(), imagecodecs.zstd_encode),
    "3 zstd without size": (ZstdCodec(), pack_zstd_without_size),
    "2 blosc": (numcodecs.Blosc(), blosc_zstd),
    "2 gzip": (numcodecs.GZip(), fast_gzip),
    "2 zlib": (numcodecs.Zlib(), partial(zlib.compress, level=1)),
    "2 zstd": (numcodecs.Zstd(), imagecodecs.zstd_encode),
    "2 lz4": (numcodecs.LZ4(), pack_lz4),
}


@cache
def bomb_of(pack):
    bomb = bytes(pack(bytes(BOMB)))
    assert len(bomb) < BOMB / 100
    return bomb


def forge(path, kind):
    """Write an array whose only chunk is decoded to far more than its size."""
    codec, pack = BOMBS[kind]
    version = int(kind[0])
    pixels = np.arange(4096, dtype="u2").astype("u1").reshape(64, 64)
    options = {"chunks": (64, 64), "compressors": codec, "zarr_format": version}
    zarr.create_array(str(path), data=pixels, **options)
    (path / ("c/0/0" if version == 3 else "0.0")).write_bytes(bomb_of(pack))


@pytest.mark.process
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory as Linux does")
def test_forged_chunks_are_refused_before_they_fill_the_memory(tmp_path):
    folders = {kind: str(tmp_path / f"{kind}.zarr") for kind in BOMBS}
    for kind, folder in folders.items():
        forge(Path(folder), kind)
    command = [sys.executable, "-m", "tests.support.forged_chunk", *folders.values()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    for kind, told in zip(folders, json.loads(done.stdout), strict=True):
        assert "cannot be decoded" in told["told"], kind
        assert told["grown"] < BOMB / 2**20 / 8, kind


def test_a_forged_chunk_of_a_shard_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    options = {"chunks": (32, 32), "shards": (64, 64), "compressors": ZstdCodec()}
    array = zarr.create_array(str(path), shape=(64, 64), dtype="u1", **options)
    array[:32, :32] = 9
    bomb = imagecodecs.zstd_encode(bytes(2**20))
    index = np.full((4, 2), 2**64 - 1, "<u8")
    index[0] = 0, len(bomb)
    table = index.tobytes()
    checksum = struct.pack("<I", google_crc32c.value(table))
    (path / "c/0/0").write_bytes(bomb + table + checksum)
    with pytest.raises(InputError, match="Destination buffer is too small"):
        read_whole(path)


@pytest.mark.parametrize("field", ["size", "block"])
def test_blosc_headers_with_sizes_beyond_the_chunk_are_refused(tmp_path, field):
    path = tmp_path / "a.zarr"
    zarr.create_array(str(path), data=grey(), chunks=(90, 110), compressors=BloscCodec())
    chunk = path / "c/0/0"
    content = bytearray(chunk.read_bytes())
    struct.pack_into("<I", content, {"size": 4, "block": 8}[field], 2**31 - 1)
    chunk.write_bytes(content)
    with pytest.raises(InputError, match="a chunk unpacks to"):
        read_whole(path)


@pytest.mark.parametrize("codec", [GzipCodec(), ZstdCodec(), BloscCodec()])
@pytest.mark.parametrize("kept", [0, 3, 25])
def test_a_chunk_that_is_cut_off_is_refused(tmp_path, codec, kept):
    path = tmp_path / "a.zarr"
    zarr.create_array(str(path), data=grey(), chunks=(90, 110), compressors=codec)
    chunk = path / "c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:kept])
    with pytest.raises(InputError, match="cannot be decoded"):
        read_whole(path)


def test_chunks_that_are_large_along_other_axes_are_refused(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.create_array(str(path), shape=(8, 8, 3), chunks=(8, 8, 10**7), dtype="u1")
    with pytest.raises(InputError, match="10000000 values of each pixel"):
        open_large(path)


@pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec")
def test_compressed_shards_count_as_chunks(tmp_path):
    path = tmp_path / "a.zarr"
    options = {"chunks": (32, 32), "shards": (64, 64), "dtype": "u1"}
    zarr.create_array(str(path), shape=(64, 64), **options)
    with open_large(path, max_pixels=32 * 32):
        pass
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["codecs"].append({"name": "gzip", "configuration": {"level": 5}})
    (path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="its parts of 64 x 64 pixels"):
        open_large(path, max_pixels=32 * 32)


def test_a_filter_that_does_not_return_numbers_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.create_array(str(path), data=grey(), filters=numcodecs.Delta("<u2"), zarr_format=2)
    metadata = json.loads((path / ".zarray").read_text())
    metadata["filters"][0]["dtype"] = "|V99999999"
    (path / ".zarray").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="a filter makes"):
        open_large(path)
