"""TIFF files whose headers are wrong or ambiguous."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.support.images import random_pixels
from tests.support.tiff_files import (
    MANY,
    assert_pages,
    page_offsets,
    redirect,
    write,
    write_ome,
    write_stack,
)
from unetflow.core.errors import InputError
from unetflow.io.formats import tiff
from unetflow.io.formats.readers import read_image, read_mask
from unetflow.io.formats.tiff import count_pages, read_tiff


@pytest.mark.parametrize(
    ("tag", "claim"), [("ImageWidth", "60000 x 16"), ("TileWidth", "60000 x 16")]
)
def test_a_claim_is_checked_before_anything_is_decoded(tmp_path, tag, claim):
    path = write(tmp_path / "a.tif", random_pixels((3, 16, 16)), "ZYX", tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+") as opened:
        for page in opened.pages:
            page.aspage().tags[tag].overwrite(60_000)
    tifffile.tiffcomment(path, "")
    with pytest.raises(InputError, match=f"{claim} pixels are more than the allowed 400000"):
        read_tiff(path, 400_000, page=0, indices=True)


def test_too_many_channels(tmp_path):
    path = write(tmp_path / "a.tif", random_pixels((257, 2, 2)), "CYX")
    with pytest.raises(InputError, match="257 channels are more than the allowed 256"):
        read_image(path)


@pytest.mark.parametrize(("channels", "allowed"), [(16, 100), (20, 80)])
def test_the_more_channels_the_fewer_pixels(tmp_path, channels, allowed):
    whole = write(tmp_path / "a.tif", random_pixels((channels, 10, allowed // 10)), "CYX")
    assert read_image(whole, 100).shape == (10, allowed // 10, channels)
    larger = write(tmp_path / "b.tif", random_pixels((channels, 3, 34)), "CYX")
    with pytest.raises(InputError, match=f"34 x 3 pixels.* are more than the allowed {allowed}"):
        read_image(larger, 100)


def test_pages_of_different_sizes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.zeros((4, 5), np.uint8))
        writer.write(np.zeros((2, 3), np.uint8))
    with pytest.raises(InputError, match="2 images of different kinds"):
        count_pages(tmp_path / "a.tif")


def test_a_page_that_is_unlike_the_others(tmp_path):
    """Tifffile itself compares only some of the pages."""
    path, pixels = write_stack(tmp_path / "a.tif", 12, metadata=None, compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as opened:
        opened.pages[4].tags["ImageLength"].overwrite(11)
    np.testing.assert_array_equal(read_image(path, page=5)[:, :, 0], pixels[5])
    with pytest.raises(InputError, match="not like the first page"):
        read_image(path, page=4)


def test_missing_strips(tmp_path):
    path = write(
        tmp_path / "a.tif", random_pixels((12, 9)), "YX", rowsperstrip=3, compression="lzw"
    )
    with tifffile.TiffFile(path, mode="r+") as opened:
        tag = opened.pages[0].tags["StripOffsets"]
        tag.overwrite(tag.value[:3])
    with pytest.raises(InputError, match="strips or tiles are missing"):
        read_image(path)


@pytest.mark.parametrize("imagej", [True, False])
def test_a_stack_that_was_cut(tmp_path, imagej):
    path, _ = write_stack(tmp_path / "a.tif", imagej=imagej, truncate=True)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"fewer images than|ends too early"):
        count_pages(path)


def test_bits_that_make_no_number(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint8), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as opened:
        opened.pages[0].tags["BitsPerSample"].overwrite(77)
    with pytest.raises(InputError, match="77 bits along axes YX"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("pages", [1, 3, 150])
@pytest.mark.parametrize("back", [0, 1, 30])
def test_a_list_of_pages_without_end(tmp_path, pages, back):
    path, _ = write_stack(tmp_path / "a.tif", pages, compression="zlib")
    places = page_offsets(path)
    redirect(path, places[-1], places[max(0, pages - 1 - back)])
    for read in (count_pages, read_image):
        with pytest.raises(InputError, match="its list of pages has no end"):
            read(path)


def test_a_list_of_pages_without_end_under_a_slide_scanner_s_tags(tmp_path):
    tags = [(271, "s", 0, "scanner", True), (65420, "H", 1, 1, True), (65441, "H", 1, 9, True)]
    path, _ = write_stack(tmp_path / "a.tif", 150, compression="zlib", extratags=tags)
    places = page_offsets(path)
    redirect(path, places[-1], places[-10])
    with pytest.raises(InputError, match="its list of pages has no end"):
        count_pages(path)


def test_a_list_of_pages_that_leaves_the_file(tmp_path):
    path, _ = write_stack(tmp_path / "a.tif", compression="zlib")
    redirect(path, page_offsets(path)[-1], 10**9)
    with pytest.raises(InputError, match="cannot be decoded"):
        count_pages(path)


def test_ome_headers_open_no_other_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("other.tif", np.ones((4, 6), np.uint8), metadata=None)
    write_ome(Path("a.tif"), np.zeros((1, 4, 6), np.uint8), [("a.tif", 0), ("other.tif", 0)])
    assert tifffile.imread("a.tif").max() == 1, "tifffile alone is expected to open it"
    with pytest.raises(InputError, match="lists 2 images, of which it holds 1"):
        count_pages(Path("a.tif"))


@pytest.mark.parametrize(
    ("truncate", "problem"), [(True, "claims to hold 5 images"), (False, "has no end")]
)
def test_too_many_pages(tmp_path, monkeypatch, truncate, problem):
    monkeypatch.setattr(tiff, "_MAX_PAGES", 4)
    path, _ = write_stack(tmp_path / "a.tif", truncate=truncate)
    with pytest.raises(InputError, match=problem):
        count_pages(path)


def test_planes_that_are_larger_than_their_images(tmp_path):
    path = write(tmp_path / "a.tif", random_pixels((2, 3, 400)), "YXZ")
    assert_pages(path, random_pixels((2, 3, 400)), "YXZ")
    with pytest.raises(InputError, match="400 x 3 pixels are more than the allowed 1000"):
        read_tiff(path, 1000, page=0, indices=True)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        count_pages(tmp_path / "a.tif")


def test_a_file_of_another_kind(tmp_path):
    Image.fromarray(random_pixels((4, 5))).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"its content is PNG"):
        count_pages(tmp_path / "a.tif")


def encoded(**options):
    buffer = io.BytesIO()
    write(buffer, random_pixels((6, 20, 24)), "ZYX", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ome": True, "compression": "zlib"},
        {"imagej": True},
        {"tile": (16, 16), "compression": "lzw", "bigtiff": True},
    ],
    ids=["plain", "OME", "ImageJ", "tiles"],
)
def test_damaged_headers_give_pixels_or_an_input_error(tmp_path, options):
    rng = np.random.default_rng(0)
    content = encoded(**options)
    for number in range(80):
        damaged = bytearray(content)
        for place in rng.integers(0, 400, rng.integers(1, 5)):
            damaged[place] ^= 1 << rng.integers(8)
        path = tmp_path / f"{number}.tif"
        path.write_bytes(damaged[: rng.integers(len(content))] if number % 4 == 0 else damaged)
        for read in (count_pages, read_image, lambda path: read_mask(path, MANY, 3)):
            with contextlib.suppress(InputError):
                assert read(path) is not None
