import tempfile
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.imaging.helpers import GREY, png_bytes, random_pixels, write_sixteen_bit_png
from unetflow.imaging import readers
from unetflow.imaging.errors import InputError
from unetflow.imaging.readers import is_image, read_image, read_mask

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


def test_sixteen_bit_colour_png_of_another_writer_keeps_all_bits(tmp_path):
    pixels = random_pixels((7, 5, 3), np.uint16)
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(pixels))
    assert np.asarray(Image.open(path)).dtype == np.uint8, "Pillow alone is expected to cut it"
    np.testing.assert_array_equal(read_image(path), pixels, strict=True)


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


def test_palette_png_image_gives_its_colours(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8))
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    image.save(tmp_path / "a.png")
    red, green, blue = [200, 0, 0], [0, 200, 0], [0, 0, 200]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[red, green], [blue, red]])


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_one_bit_mask_gives_0_and_255(tmp_path, ending):
    inside = random_pixels((5, 11)) > 127
    Image.fromarray(inside).save(tmp_path / f"a.{ending}")
    mask = read_mask(tmp_path / f"a.{ending}")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, np.where(inside, 255, 0))


@pytest.mark.parametrize(("bits", "row"), [(4, b"\0\x01\x23"), (2, b"\0\x1b")])
def test_grey_png_mask_of_few_bits_comes_back_exactly_as_stored(tmp_path, bits, row):
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(4, 1, bits, GREY, row))
    assert read_mask(path).tolist() == [[0, 1, 2, 3]]


def test_palette_png_mask_gives_the_indices(tmp_path):
    indices = random_pixels((5, 6)) % 3
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    image.save(tmp_path / "a.png", transparency=0)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), indices)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_is_turned_as_its_exif_orientation_says(tmp_path, orientation):
    image = Image.fromarray(np.kron(random_pixels((2, 3)), np.ones((8, 8), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    stored = np.asarray(Image.open(tmp_path / "a.jpg"))
    turned = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].T,
        8: np.rot90(stored),
    }[orientation]
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg")[:, :, 0], turned)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_constant_alpha_is_dropped(tmp_path, channels, dtype):
    pixels = random_pixels((4, 5, channels), dtype)
    pixels[:, :, -1] = 77
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels[:, :, :-1], strict=True)


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("channels", [2, 4])
def test_varying_alpha_is_refused(tmp_path, channels, read):
    pixels = np.full((4, 5, channels), 9, np.uint8)
    pixels[2, 3, -1] = 8
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="the last one, the alpha channel of a picture"):
        read(tmp_path / "a.png")


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


def test_signed_whole_numbers_are_a_mask_but_no_image(tmp_path):
    pixels = np.array([[-1, 70_000]], np.int32)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    assert read_mask(tmp_path / "a.tif").tolist() == [[-1, 70_000]]
    with pytest.raises(InputError, match="int32, which is neither 8 nor 16 bit"):
        read_image(tmp_path / "a.tif")


def test_float_mask_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match="float32 numbers, perhaps probabilities"):
        read_mask(tmp_path / "a.tif")


def test_ending_decides_what_is_an_image():
    assert [is_image(Path(name)) for name in ("a.PNG", "a.b.TiFF", "x/a.jpeg", "a.jpg")] == [
        True
    ] * 4
    assert not any(is_image(Path(name)) for name in ("a.txt", "png", "a.png.bak"))


def test_every_ending_has_a_reader_and_the_limit_is_20000_squared():
    assert set(readers.READERS) == {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
    assert readers.MAX_PIXELS == 20_000**2
