"""Refusals of the readers: whatever the bytes are, nothing but `InputError` comes out."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.imaging.helpers import GREY, RGB, png_bytes, random_pixels, write_sixteen_bit_png
from unetflow.imaging import readers
from unetflow.imaging.errors import InputError
from unetflow.imaging.readers import read_image, read_mask

FUZZ_PIXELS = 100_000


def encoded(name):
    """Return the ending and the bytes of a valid file."""
    pixels = random_pixels((12, 9, 3))
    buffer = io.BytesIO()
    if name == "png":
        Image.fromarray(pixels).save(buffer, "PNG")
    elif name == "jpg":
        Image.fromarray(pixels).save(buffer, "JPEG", exif=bytes(Image.Exif()))
    elif name == "tif":
        tifffile.imwrite(buffer, pixels, photometric="rgb")
    else:
        tifffile.imwrite(buffer, pixels[:, :, 0], compression="lzw", rowsperstrip=4)
    return buffer.getvalue()


FILES = {name: encoded(name) for name in ("png", "jpg", "tif", "tiff")}


@settings(max_examples=120)
@given(data=st.data(), ending=st.sampled_from(sorted(FILES)))
def test_damaged_file_gives_pixels_or_an_input_error(data, ending):
    content = bytearray(FILES[ending])
    places = st.integers(0, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        content[place] = value
    content = content[: data.draw(st.just(len(content)) | places)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{ending}"
        path.write_bytes(content)
        for read, dimensions in ((read_image, 3), (read_mask, 2)):
            try:
                pixels = read(path, FUZZ_PIXELS)
            except InputError:
                continue
            assert pixels.ndim == dimensions
            assert pixels.size


@pytest.mark.parametrize("ending", sorted(FILES))
def test_file_cut_in_its_pixels_is_refused(tmp_path, ending):
    content = FILES[ending]
    path = tmp_path / f"a.{ending}"
    for length in range(0, len(content) - 20, 11):
        path.write_bytes(content[:length])
        with pytest.raises(InputError):
            read_image(path)


def test_cut_sixteen_bit_colour_png_is_refused(tmp_path):
    path = tmp_path / "a.png"
    write_sixteen_bit_png(path, random_pixels((8, 8, 3), np.uint16))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be decoded"):
        read_image(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "tif", "tiff", "PNG"])
@pytest.mark.parametrize(
    "content", [b"", b"this is text, not a picture\n" * 9], ids=["empty", "text"]
)
def test_file_that_is_no_picture_is_refused(tmp_path, ending, content):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be decoded.*Export it again") as caught:
        read_image(path)
    assert caught.value.where == str(path)


def test_jpeg_under_the_name_of_a_png_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(FILES["jpg"])
    with pytest.raises(InputError, match="cannot be decoded"):
        read_image(tmp_path / "a.png")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="the file does not exist"):
        read_image(tmp_path / "a.png")


def test_folder_with_the_name_of_an_image_is_refused(tmp_path):
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(InputError):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.bmp", "a"])
def test_unknown_ending_is_refused_with_the_known_ones(tmp_path, name):
    (tmp_path / name).write_bytes(FILES["png"])
    with pytest.raises(InputError, match=r"not one of \.png, \.jpg, \.jpeg, \.tif, \.tiff"):
        read_image(tmp_path / name)


def forged_tiff(path, width, height, **tags):
    tifffile.imwrite(path, np.zeros((3, 4), np.uint8), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        for name, value in {"ImageWidth": width, "ImageLength": height, **tags}.items():
            file.pages[0].tags[name].overwrite(value)


def forged_jpeg(path, width, height):
    content = FILES["jpg"]
    frame = content.index(b"\xff\xc0") + 5
    size = height.to_bytes(2) + width.to_bytes(2)
    path.write_bytes(content[:frame] + size + content[frame + 4 :])


@pytest.mark.parametrize(
    ("name", "forge"),
    [
        ("a.png", lambda p, w, h: p.write_bytes(png_bytes(w, h, 8, GREY, bytes(99)))),
        ("b.png", lambda p, w, h: p.write_bytes(png_bytes(w, h, 16, RGB, bytes(99)))),
        ("a.jpg", forged_jpeg),
        ("a.tif", forged_tiff),
    ],
    ids=["PNG", "16-bit colour PNG", "JPEG", "TIFF"],
)
class TestHeaderThatClaimsTooMuch:
    def test_is_refused_with_the_parameter_that_allows_it(self, tmp_path, name, forge):
        forge(tmp_path / name, 60_000, 60_000)
        with pytest.raises(
            InputError, match=r"60000 x 60000 pixels.*the allowed 400000000.*ingestion\.max_pixels"
        ):
            read_image(tmp_path / name)

    def test_is_refused_at_a_small_limit(self, tmp_path, name, forge):
        forge(tmp_path / name, 11, 10)
        with pytest.raises(InputError, match="11 x 10 pixels are more than the allowed 109"):
            read_mask(tmp_path / name, max_pixels=109)


@pytest.mark.parametrize(("bits", "colour"), [(8, GREY), (16, RGB)])
def test_below_the_allowed_size_no_other_limit_applies(tmp_path, bits, colour):
    (tmp_path / "a.png").write_bytes(png_bytes(14_000, 14_000, bits, colour, bytes(99)))
    with pytest.raises(InputError, match="cannot be decoded") as caught:
        read_image(tmp_path / "a.png")
    assert "Decompression" not in caught.value.problem


def test_image_of_exactly_the_allowed_size_is_read(tmp_path):
    for ending, content in FILES.items():
        path = tmp_path / f"a.{ending}"
        path.write_bytes(content)
        assert read_image(path, max_pixels=12 * 9).shape[:2] == (12, 9)


def test_file_too_large_for_the_memory_is_refused(tmp_path, monkeypatch):
    def fail(path, max_pixels, *, indices):
        raise MemoryError

    monkeypatch.setitem(readers.READERS, ".tif", fail)
    with pytest.raises(InputError, match="does not fit into memory"):
        read_image(tmp_path / "a.tif")


def test_image_without_pixels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(readers.READERS, ".tif", lambda *_, **__: np.zeros((0, 4), np.uint8))
    with pytest.raises(InputError, match="has no pixels"):
        read_image(tmp_path / "a.tif")


def test_multi_page_tiff_is_refused_with_its_number_of_pages(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 4, 6), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match=r"5 pages \(axes QYX\).*Save each page"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "CYXS"])
def test_stack_with_named_axes_is_refused(tmp_path, axes):
    shape = (2, 4, 6, 3)[: len(axes)]
    photometric = "rgb" if "S" in axes else "minisblack"
    pixels = np.zeros(shape, np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=photometric, metadata={"axes": axes})
    with pytest.raises(InputError, match=f"axes {axes}"):
        read_image(tmp_path / "a.tif")


def test_tiff_of_two_unlike_pages_is_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.zeros((4, 5), np.uint8))
        writer.write(np.zeros((2, 3), np.uint8))
    with pytest.raises(InputError, match="2 pages"):
        read_image(tmp_path / "a.tif")


def test_palette_tiff_is_refused_as_an_image_and_gives_indices_as_a_mask(tmp_path):
    colours = np.zeros((3, 256), np.uint16)
    pixels = random_pixels((4, 5))
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="palette", colormap=colours)
    with pytest.raises(InputError, match="palette"):
        read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), pixels)


def test_image_of_five_channels_is_refused(tmp_path):
    pixels = np.zeros((5, 4, 6), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(InputError, match="5 channels"):
        read_image(tmp_path / "a.tif")


def test_cmyk_jpeg_is_refused(tmp_path):
    Image.new("CMYK", (5, 4)).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="its colours are CMYK"):
        read_image(tmp_path / "a.jpg")


def test_mask_that_jpeg_has_changed_is_refused(tmp_path):
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 9:23] = 255
    Image.fromarray(mask).save(tmp_path / "a.jpg", quality=60)
    with pytest.raises(InputError, match="JPEG compression has changed"):
        read_mask(tmp_path / "a.jpg")
    Image.fromarray(np.full((32, 32), 255, np.uint8)).save(tmp_path / "b.jpg", quality=95)
    assert np.unique(read_mask(tmp_path / "b.jpg")).tolist() == [255]
