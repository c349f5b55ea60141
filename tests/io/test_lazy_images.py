import json
import struct

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

from tests.support.images import random_pixels
from tests.support.large_files import grey, write_ome_pyramid, write_ome_zarr
from unetflow.core.errors import InputError
from unetflow.inference.blockwise.image_blocks import read_mirrored
from unetflow.io.image_file import MappedFile, open_large
from unetflow.io.lazy_image import CachedChunks, LazyImage

TIFFS = {
    "tiles": {"tile": (32, 16), "compression": "zlib"},
    "plain tiles": {"tile": (32, 16)},
    "strips": {"rowsperstrip": 7, "compression": "lzw"},
    "predicted": {"tile": (16, 16), "compression": "zstd", "predictor": True},
    "mapped": {},
    "mapped strips": {"rowsperstrip": 5},
    "big-endian": {"byteorder": ">"},
    "big-endian tiles": {"byteorder": ">", "tile": (32, 32)},
    "BigTIFF": {"bigtiff": True, "tile": (64, 64), "compression": "zlib"},
}


def assert_windows(path, pixels, **options):
    """Compare a few windows with the array, the borders among them."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    height, width, _ = pixels.shape
    with open_large(path, **options) as image:
        assert (image.shape, image.dtype) == (pixels.shape, pixels.dtype)
        for rows, columns in [
            ((0, height), (0, width)),
            ((0, 1), (0, 1)),
            ((height - 1, height), (width - 9, width)),
            ((height // 5, height // 2), (width // 3, width // 3 + 2)),
        ]:
            window = image.read(rows, columns)
            np.testing.assert_array_equal(
                window, pixels[slice(*rows), slice(*columns)], strict=True
            )


@pytest.mark.parametrize("options", TIFFS.values(), ids=TIFFS)
def test_windows_of_a_tiff_equal_those_of_the_whole_image(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", grey(), **options)
    assert_windows(tmp_path / "a.tif", grey())


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("options", [{}, {"tile": (32, 32), "compression": "zlib"}])
@pytest.mark.parametrize("channels", [2, 3])
def test_channels_are_the_last_axis(tmp_path, planar, options, channels):
    pixels = random_pixels((70, 80, channels))
    stored = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
    kind = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=kind, planarconfig=planar, **options)
    assert_windows(tmp_path / "a.tif", pixels)


def test_an_opaque_alpha_channel_is_dropped_and_another_one_refused(tmp_path):
    pixels = random_pixels((70, 80, 4))
    pixels[:, :, 3] = 255
    options = {"photometric": "rgb", "extrasamples": ["unassalpha"], "tile": (32, 32)}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    assert_windows(tmp_path / "a.tif", pixels[:, :, :3])
    pixels[3, 4, 3] = 7
    tifffile.imwrite(tmp_path / "b.tif", pixels, **options)
    with open_large(tmp_path / "b.tif") as image, pytest.raises(InputError, match="alpha channel"):
        image.read((0, 9), (0, 9))


def test_an_uncompressed_file_is_mapped_and_a_compressed_one_decoded_in_parts(tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", grey())
    tifffile.imwrite(tmp_path / "packed.tif", grey(), tile=(16, 16), compression="zlib")
    with open_large(tmp_path / "plain.tif") as image:
        assert isinstance(image._array, MappedFile)
    with open_large(tmp_path / "packed.tif") as image:
        assert isinstance(image._array, CachedChunks)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_each_level_of_a_pyramid_is_an_image(tmp_path, level):
    pixels = grey(150, 170)
    step = 2**level
    assert_windows(
        write_ome_pyramid(tmp_path / "a.ome.tif", pixels), pixels[::step, ::step], level=level
    )


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("level", [0, 1])
def test_each_level_of_an_ome_zarr_is_an_image(tmp_path, version, level):
    pixels = grey(150, 170)
    path = write_ome_zarr(tmp_path / "a.zarr", pixels, version)
    assert_windows(path, pixels[:: 2**level, :: 2**level], level=level)


@pytest.mark.parametrize("form", [2, 3])
@pytest.mark.parametrize("shape", [(90, 110), (90, 110, 3)])
def test_a_plain_zarr_array_is_an_image(tmp_path, form, shape):
    pixels = random_pixels(shape, np.uint16)
    zarr.save_array(str(tmp_path / "a.zarr"), pixels, zarr_format=form)
    assert_windows(tmp_path / "a.zarr", pixels)


def test_a_zarr_array_with_shards_and_named_axes_is_an_image(tmp_path):
    pixels = random_pixels((2, 96, 128), np.uint16)
    array = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=pixels.shape,
        chunks=(1, 16, 16),
        shards=(2, 48, 64),
        dtype=pixels.dtype,
        dimension_names=["channel", "y", "x"],
    )
    array[:] = pixels
    assert_windows(tmp_path / "a.zarr", np.moveaxis(pixels, 0, 2))


def test_other_types_become_float32_and_values_that_are_not_finite_are_refused(tmp_path):
    pixels = random_pixels((70, 80)).astype(np.float64)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    assert_windows(tmp_path / "a.tif", pixels.astype(np.float32))
    pixels[20, 30] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with open_large(tmp_path / "a.tif") as image:
        assert image.read((0, 20), (0, 80)).shape == (20, 80, 1)
        with pytest.raises(InputError, match="NaN or infinite"):
            image.read((0, 21), (0, 80))


class Counting:
    """An array that counts how many numbers were read from it."""

    def __init__(self, pixels):
        self.pixels, self.shape, self.dtype, self.read = pixels, pixels.shape, pixels.dtype, 0

    def __getitem__(self, selection):
        part = self.pixels[selection]
        self.read += part.size
        return part


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.integers(1, 5000),
    st.data(),
)
def test_any_window_of_cached_chunks_equals_that_of_the_array(size, chunks, kept, data):
    pixels = random_pixels(size, np.uint16)
    array = CachedChunks(Counting(pixels), chunks, kept)
    for _ in range(3):
        bounds = [
            sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(1, n)))) for n in size
        ]
        window = tuple(slice(a, b + (a == b)) for a, b in bounds)
        np.testing.assert_array_equal(array[window], pixels[window])
        held = array._read.cache_info().currsize
        assert held == 1 or held * np.prod(chunks) * pixels.itemsize <= kept


def test_strips_that_neighbouring_windows_share_are_decoded_once():
    array = Counting(grey(40, 1000))
    chunks = CachedChunks(array, (1, 1000))
    for column in range(0, 1000, 100):
        assert chunks[0:40, column : column + 100].shape == (40, 100)
    assert array.read == array.pixels.size


@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.tuples(st.integers(-80, 40), st.integers(-80, 40)),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_a_window_beyond_the_image_is_mirrored(size, start, count):
    pixels = random_pixels((*size, 2))
    image = LazyImage("pixels", pixels, "YXC", {})
    if any(
        first + n <= 0 or first >= length
        for first, n, length in zip(start, count, size, strict=True)
    ):
        return  # no window of a block lies wholly outside
    whole = np.pad(pixels, ((80, 140), (80, 140), (0, 0)), mode="reflect")
    window = read_mirrored(image, *zip(start, count, strict=True))
    expected = whole[tuple(slice(80 + f, 80 + f + n) for f, n in zip(start, count, strict=True))]
    np.testing.assert_array_equal(window, expected)


def test_the_identity_changes_with_the_file_and_the_level(tmp_path):
    path = write_ome_pyramid(tmp_path / "a.ome.tif", grey(150, 170))
    folder = write_ome_zarr(tmp_path / "a.zarr", grey(150, 170), "0.5")
    seen = [open_large(p, level).identity for p in (path, folder) for level in (0, 1)]
    assert seen[0] == open_large(path).identity
    assert seen[2] == open_large(folder).identity
    chunk = next(p for p in folder.rglob("*") if p.parent.parent.name == "c" or p.name == "0")
    write_ome_pyramid(path, grey(150, 170, seed=1))
    next(p for p in (folder / "0").rglob("*") if p.is_file() and p.name != "zarr.json").touch()
    assert chunk.exists()
    changed = [open_large(p, level).identity for p in (path, folder) for level in (0, 1)]
    assert all(one != other for i, one in enumerate(seen) for other in (*seen[:i], *changed))


@pytest.mark.parametrize("kind", ["tiles", "strip", "zarr"])
def test_parts_that_are_too_large_are_refused_before_decoding(tmp_path, kind):
    path = tmp_path / ("a.zarr" if kind == "zarr" else "a.tif")
    if kind == "zarr":
        zarr.create_array(str(path), data=grey(), chunks=(90, 110))
    else:
        layout = {"tile": (96, 112)} if kind == "tiles" else {"rowsperstrip": 90}
        tifffile.imwrite(path, grey(), compression="zlib", **layout)
    limit = 96 * 112
    open_large(path, max_pixels=limit).close()
    with pytest.raises(InputError, match="each is decoded whole"):
        open_large(path, max_pixels=90 * 110 - 1)


def test_an_image_of_any_size_is_opened_if_its_parts_are_small(tmp_path):
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(2_000_000, 3_000_000), chunks=(64, 64), dtype="uint8"
    )
    array[1_000_000:1_000_002, 5:7] = 9
    with open_large(tmp_path / "a.zarr") as image:
        assert image.read((1_000_000, 1_000_003), (5, 7)).tolist() == [
            [[9], [9]],
            [[9], [9]],
            [[0], [0]],
        ]


def test_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, grey())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="cannot be decoded"):
        open_large(path)
    tifffile.imwrite(path, grey(), tile=(32, 32))
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags["TileOffsets"].overwrite([8] * 5)
    with pytest.raises(InputError, match="cannot be decoded"):
        open_large(path)


def test_a_damaged_tile_is_reported_with_its_file(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, grey(), tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].dataoffsets[5]
    content = bytearray(path.read_bytes())
    content[place : place + 20] = struct.pack("<20x")
    path.write_bytes(content)
    with open_large(path) as image, pytest.raises(InputError, match="cannot be decoded") as caught:
        image.read((0, 90), (0, 110))
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda p: tifffile.imwrite(p, random_pixels((5, 20, 20)), photometric="minisblack"),
            "not those of one image",
        ),
        (lambda p: tifffile.imwrite(p, grey(), extratags=[(274, 3, 1, 6, True)]), "stored turned"),
        (
            lambda p: tifffile.imwrite(
                p, random_pixels((9, 9)), photometric="palette", colormap=np.zeros((3, 256), "u2")
            ),
            "palette",
        ),
        (lambda p: p.write_bytes(b"no image"), "cannot be decoded"),
        (lambda p: None, "does not exist"),
        (lambda p: tifffile.imwrite(p, grey().astype(np.complex64)), "its pixels are complex64"),
    ],
    ids=["stack", "turned", "palette", "damaged", "absent", "complex"],
)
def test_a_tiff_that_is_not_a_large_image_is_refused(tmp_path, write, message):
    write(tmp_path / "a.tif")
    with pytest.raises(InputError, match=message):
        open_large(tmp_path / "a.tif")


def test_a_missing_level_is_refused(tmp_path):
    pixels = grey(150, 170)
    zarr.save_array(str(tmp_path / "plain.zarr"), pixels)
    for path, message in [
        (write_ome_pyramid(tmp_path / "a.ome.tif", pixels), "3 levels, no level 3"),
        (write_ome_zarr(tmp_path / "a.zarr", pixels, "0.4"), "3 levels, no level 3"),
        (tmp_path / "plain.zarr", "an array without level 3"),
    ]:
        with pytest.raises(InputError, match=message):
            open_large(path, level=3)


@pytest.mark.parametrize(
    ("codec", "message"),
    [("pickle", "no Zarr data type"), ("json2", "no Zarr data type"), ("bz2", "packed with BZ2")],
)
def test_codecs_that_may_do_more_than_decode_are_refused(tmp_path, codec, message):
    path = tmp_path / "a.zarr"
    zarr.create_array(str(path), data=grey(), zarr_format=2, compressors=None)
    metadata = json.loads((path / ".zarray").read_text())
    (path / ".zarray").write_text(json.dumps(metadata | {"compressor": {"id": codec}}))
    with pytest.raises(InputError, match=f"(?i){message}"):
        open_large(path)


def test_a_folder_without_a_zarr_array_is_refused(tmp_path):
    (tmp_path / "empty.zarr").mkdir()
    zarr.open_group(str(tmp_path / "group.zarr"), mode="w")
    with pytest.raises(InputError, match="not a Zarr array"):
        open_large(tmp_path / "empty.zarr")
    with pytest.raises(InputError, match="a group with 0 images"):
        open_large(tmp_path / "group.zarr")
