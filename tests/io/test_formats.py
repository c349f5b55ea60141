import io
import logging
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.support.images import random_pixels, write_sixteen_bit_png
from unetflow.core.errors import InputError
from unetflow.io.files import ArchiveMember
from unetflow.io.formats import readers
from unetflow.io.formats.readers import is_image, read_image, read_mask
from unetflow.io.formats.tiff import open_tiff

PIXELS = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16]),
    st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
        lambda size: st.sampled_from([size, (*size, 3)])
    ),
)


def save(path, pixels):
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    elif pixels.dtype == np.uint16:
        write_sixteen_bit_png(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    return path


def in_three_dimensions(pixels):
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


@given(pixels=PIXELS, ending=st.sampled_from(["png", "tif"]))
def test_png_and_tiff_come_back_exactly_at_their_own_bit_depth(pixels, ending):
    with tempfile.TemporaryDirectory() as folder:
        read = read_image(save(Path(folder) / f"a.{ending}", pixels))
    assert read.dtype == pixels.dtype
    np.testing.assert_array_equal(read, in_three_dimensions(pixels), strict=True)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_sixteen_bit_tiff_is_exact_under_any_compression(tmp_path, compression, byteorder):
    pixels = random_pixels((33, 21), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, compression=compression, byteorder=byteorder, rowsperstrip=8
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[:, :, 0], pixels)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize(
    "written",
    [
        {"ome": True, "photometric": "minisblack", "metadata": {"axes": "CYX"}},
        {"photometric": "minisblack", "metadata": {"axes": "CYX"}},
        {"imagej": True, "metadata": {"axes": "CYX"}},
        {"photometric": "rgb", "planarconfig": "separate"},
    ],
    ids=["OME", "tifffile", "ImageJ", "planar"],
)
def test_channels_first_tiff_is_moved_to_channels_last(tmp_path, written):
    pixels = random_pixels((3, 4, 6), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, **written)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.moveaxis(pixels, 0, -1))


def test_axes_of_length_one_are_no_stack(tmp_path):
    pixels = random_pixels((1, 4, 6))
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels[0, :, :, np.newaxis])


def test_tiff_whose_white_is_zero_comes_back_as_stored(tmp_path):
    pixels = random_pixels((4, 6))
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[:, :, 0], pixels)


def test_mask_of_truth_values_comes_back_as_written(tmp_path):
    inside = random_pixels((4, 6)) > 127
    tifffile.imwrite(tmp_path / "a.tif", inside)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif") > 0, inside)


def test_colour_mask_passes_when_its_channels_are_equal(tmp_path):
    grey = random_pixels((4, 5))
    for channels in (3, 4):
        pixels = np.repeat(grey[:, :, None], channels, axis=2)
        if channels == 4:
            pixels[:, :, 3] = 255
        Image.fromarray(pixels).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), grey)


def test_colour_mask_with_one_coloured_pixel_is_refused(tmp_path):
    pixels = np.full((4, 5, 3), 9, np.uint8)
    pixels[3, 4, 2] = 8
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: the mask is in colour"):
        read_mask(tmp_path / "a.png")


def test_float_mask_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match="float32 numbers, perhaps probabilities"):
        read_mask(tmp_path / "a.tif")


def test_extension_decides_what_is_an_image():
    images = ["a.PNG", "a.b.TiFF", "x/a.jpeg", "a.jpg", "a.tif", "a.gif", "a.Bmp"]
    assert all(map(is_image, images))
    assert not any(map(is_image, ["a.txt", "png", "a.png.bak", "a.webp", "a"]))


def test_every_extension_has_a_reader_and_the_limit_is_20000_squared():
    endings = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp"}
    assert set(readers.READERS) == endings
    assert readers.MAX_PIXELS == 20_000**2


class TestNumbers:
    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f2", "f8", "i1", "i2", "i4", "u4", "i8"])
    def test_of_any_type_are_kept_or_become_float32_unchanged(self, tmp_path, dtype):
        pixels = (np.arange(12).reshape(3, 4) * (1 if dtype[0] == "u" else -1)).astype(dtype)
        tifffile.imwrite(tmp_path / "a.tif", pixels)
        read = read_image(tmp_path / "a.tif")
        assert read.dtype == (pixels.dtype if dtype in ("u1", "u2") else np.float32)
        np.testing.assert_array_equal(read[:, :, 0], pixels)

    def test_of_64_bits_are_rounded_to_float32(self, tmp_path):
        pixels = np.linspace(0, 1, 12).reshape(3, 4)
        tifffile.imwrite(tmp_path / "a.tif", pixels)
        np.testing.assert_array_equal(
            read_image(tmp_path / "a.tif")[:, :, 0], pixels.astype(np.float32)
        )

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_that_are_not_finite_are_refused_with_their_count(self, tmp_path, dtype):
        pixels = np.ones((4, 5, 3), dtype)
        pixels[1, 2] = np.nan, np.inf, -np.inf
        pixels[3, 4, 0] = np.nan
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
        with pytest.raises(InputError, match="4 of its numbers are NaN or infinite"):
            read_image(tmp_path / "a.tif")

    def test_that_float32_does_not_reach_are_refused_with_their_count(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", np.array([[1e300, -1e39, 1e38]]))
        with pytest.raises(InputError, match="2 of its numbers are NaN or infinite"):
            read_image(tmp_path / "a.tif")

    @pytest.mark.parametrize(
        ("dtype", "value"),
        [("u4", 2**24 + 1), ("i4", -(2**24) - 1), ("i8", -(2**63)), ("u8", 2**63)],
    )
    def test_that_float32_would_round_are_refused(self, tmp_path, dtype, value):
        tifffile.imwrite(tmp_path / "a.tif", np.array([[0, value]], dtype))
        with pytest.raises(InputError, match="numbers reach beyond 24 bits"):
            read_image(tmp_path / "a.tif")

    @pytest.mark.parametrize(("dtype", "value"), [("u4", 2**24), ("i4", -(2**24))])
    def test_that_float32_just_holds_are_read(self, tmp_path, dtype, value):
        tifffile.imwrite(tmp_path / "a.tif", np.array([[0, value]], dtype))
        assert read_image(tmp_path / "a.tif").ravel().tolist() == [0, value]

    def test_that_are_complex_are_refused(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", np.ones((3, 4), np.complex64))
        with pytest.raises(InputError, match="its pixels are complex64"):
            read_image(tmp_path / "a.tif")

    def test_of_a_mask_may_be_negative_or_large(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", np.array([[-1, 70_000, 2**31 - 1]], np.int32))
        assert read_mask(tmp_path / "a.tif").tolist() == [[-1, 70_000, 2**31 - 1]]


@pytest.mark.parametrize("channels", [2, 4, 5, 256])
def test_tiff_of_any_number_of_channels_is_read(tmp_path, channels):
    pixels = random_pixels((channels, 4, 6), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", metadata={"axes": "CYX"})
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.moveaxis(pixels, 0, -1))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "gif", "bmp", "tif", "TIFF"])
def test_file_in_an_archive_is_read_as_from_disk(tmp_path, ending, compression):
    form = {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF", "TIFF": "TIFF"}.get(ending, ending)
    content = io.BytesIO()
    mask = np.where(random_pixels((40, 30)) > 127, np.uint8(255), np.uint8(0))
    Image.fromarray(np.kron(mask, np.ones((8, 8), np.uint8))).save(content, form, quality=100)
    (tmp_path / f"a.{ending}").write_bytes(content.getvalue())
    with zipfile.ZipFile(tmp_path / "a.zip", "w", compression) as archive:
        archive.writestr(f"x/a.{ending}", content.getvalue())
    member = ArchiveMember(tmp_path / "a.zip", f"x/a.{ending}")
    for read in (read_image, read_mask):
        on_disk = read(tmp_path / f"a.{ending}")
        assert on_disk.shape[:2] == (320, 240)
        np.testing.assert_array_equal(read(member), on_disk, strict=True)


@given(pixels=PIXELS, ending=st.sampled_from(["png", "tif"]))
def test_sixteen_bits_are_kept_in_an_archive_too(pixels, ending):
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder) / f"a.{ending}", pixels)
        with zipfile.ZipFile(Path(folder) / "a.zip", "w") as archive:
            archive.write(path, path.name)
        read = read_image(ArchiveMember(Path(folder) / "a.zip", path.name))
    np.testing.assert_array_equal(read, in_three_dimensions(pixels), strict=True)


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp"])
def test_formats_without_pages_have_none(tmp_path, ending):
    Image.fromarray(random_pixels((4, 5))).save(tmp_path / f"a.{ending}")
    with pytest.raises(InputError, match="it holds no pages"):
        read_image(tmp_path / f"a.{ending}", page=0)


def test_page_of_a_stack_is_read(tmp_path):
    pixels = random_pixels((3, 4, 5), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    for page in range(3):
        np.testing.assert_array_equal(
            read_image(tmp_path / "a.tif", page=page)[:, :, 0], pixels[page]
        )
        np.testing.assert_array_equal(read_mask(tmp_path / "a.tif", page=page), pixels[page])


def test_readers_change_no_settings_of_other_libraries(tmp_path):
    log = logging.getLogger("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4), np.uint8))
    with open_tiff(tmp_path / "a.tif", keep=False):
        assert len(log.filters) == 1
    assert (log.filters, log.level) == ([], logging.NOTSET)
    assert Image.MAX_IMAGE_PIXELS == 2**30 // 12
