"""TIFF files: pages and planes."""

import os
import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.support.images import random_pixels
from tests.support.tiff_files import (
    MANY,
    assert_pages,
    pack,
    page_offsets,
    write,
    write_ome,
    write_stack,
)
from unetflow.core.errors import InputError
from unetflow.io.files import ArchiveMember
from unetflow.io.formats import tiff
from unetflow.io.formats.readers import read_image, read_mask
from unetflow.io.formats.tiff import count_pages, read_tiff

SIZES = st.integers(1, 4)


@st.composite
def stacks(draw):
    """Return an array, its axes, and how it is written."""
    kind = draw(st.sampled_from(["plain", "OME", "ImageJ"]))
    others = draw(st.lists(st.sampled_from("TZC"), unique=True, max_size=3))
    if kind == "plain":
        axes = "".join(draw(st.permutations([*others, "Y", "X"])))
        options = {}
    elif kind == "OME":
        axes = "".join(others) + "YX"
        options = {"ome": True}
    else:
        axes = "".join(sorted(others, key="TZC".index)) + "YX"
        options = {"imagej": True}
    shape = draw(st.tuples(*[SIZES] * len(axes)))
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    options["compression"] = draw(st.sampled_from([None, "zlib"])) if kind != "ImageJ" else None
    return random_pixels(shape, dtype, draw(st.integers(0, 99))), axes, options


@given(stack=stacks())
def test_pages_are_counted_over_all_axes_but_rows_columns_and_channels(stack):
    pixels, axes, options = stack
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.tif", pixels, axes, **options)
        assert_pages(path, pixels, axes)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize(
    "layout", [{}, {"tile": (16, 16)}, {"bigtiff": True}, {"byteorder": ">", "rowsperstrip": 7}]
)
def test_pages_come_back_as_stored_under_any_layout(tmp_path, dtype, compression, layout):
    pixels = random_pixels((3, 40, 24), np.uint16)
    pixels = pixels > 30_000 if dtype is bool else pixels.astype(dtype)
    path = write(tmp_path / "a.tif", pixels, "ZYX", compression=compression, **layout)
    assert_pages(path, pixels, "ZYX")


@pytest.mark.parametrize("ome", [True, False])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("axes", "shape"),
    [("YXS", (5, 6, 3)), ("SYX", (3, 5, 6)), ("ZYXS", (4, 5, 6, 3)), ("CYXS", (2, 5, 6, 3))],
)
def test_colours_within_pixels_or_in_planes_of_their_own_go_last(
    tmp_path, axes, shape, compression, ome
):
    pixels = random_pixels(shape)
    colours = {"photometric": "rgb", "planarconfig": "separate" if axes == "SYX" else "contig"}
    path = write(tmp_path / "a.tif", pixels, axes, compression=compression, ome=ome, **colours)
    assert_pages(path, pixels, axes)


@pytest.mark.parametrize("truncate", [True, False])
def test_one_header_stands_for_all_pages_of_an_imagej_hyperstack(tmp_path, truncate):
    pixels = random_pixels((2, 3, 4, 5, 6), np.uint16)
    path = write(tmp_path / "a.tif", pixels, "TZCYX", imagej=True, truncate=truncate)
    assert (len(page_offsets(path)) == 1) is truncate
    assert_pages(path, pixels, "TZCYX")


def test_plain_pages_without_any_description_are_a_stack(tmp_path):
    pixels = random_pixels((4, 5, 6))
    first, *others = [Image.fromarray(page) for page in pixels]
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    assert_pages(tmp_path / "a.tif", pixels, "IYX")


@pytest.mark.parametrize("ome", [True, False])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_of_a_pyramid_in_sub_headers_the_full_size_is_read(tmp_path, ome, compression):
    pixels = random_pixels((3, 64, 96))
    options = {"photometric": "minisblack", "tile": (16, 16), "compression": compression}
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=ome) as writer:
        writer.write(pixels, subifds=2, metadata={"axes": "ZYX"}, **options)
        for step in (2, 4):
            writer.write(pixels[:, ::step, ::step], subfiletype=1, **options)
    assert_pages(tmp_path / "a.tif", pixels, "ZYX")


def test_reduced_copy_after_the_image_is_ignored(tmp_path):
    pixels = random_pixels((30, 40))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pixels, metadata=None)
        writer.write(pixels[::7, ::7], subfiletype=1, metadata=None)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_pillow_turns_them(tmp_path, orientation, shape):
    pixels = random_pixels(shape)
    tag = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata=None, extratags=tag)
    stored = Image.fromarray(pixels)
    stored.getexif()[274] = orientation
    upright = np.asarray(ImageOps.exif_transpose(stored))
    read = read_tiff(tmp_path / "a.tif", MANY, page=None, indices=True)
    np.testing.assert_array_equal(read, upright, strict=True)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_palette_gives_indices_or_the_colours_that_pillow_sees(tmp_path, bits):
    indices = random_pixels((5, 6)) & np.uint8(2**bits - 1)
    picture = Image.fromarray(indices).copy()
    picture.putpalette(random_pixels(3 * 2**bits).tolist())
    picture.save(tmp_path / "a.tif", bits=bits)
    read = read_tiff(tmp_path / "a.tif", MANY, page=None, indices=True)
    np.testing.assert_array_equal(read, indices, strict=True)
    colours = np.asarray(Image.open(tmp_path / "a.tif").convert("RGB"))
    read = read_tiff(tmp_path / "a.tif", MANY, page=None, indices=False)
    np.testing.assert_array_equal(read, colours, strict=True)


def test_indices_of_one_bit_are_0_and_1(tmp_path):
    inside = random_pixels((5, 8)) > 127
    palette = [(320, "H", 6, [0, 51_400, 0, 0, 0, 25_700], True)]
    tifffile.imwrite(tmp_path / "a.tif", inside, metadata=None, extratags=palette)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as opened:
        opened.pages[0].tags["PhotometricInterpretation"].overwrite(3)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), inside.astype(np.uint8))
    colours = np.array([[0, 0, 0], [200, 0, 100]])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), colours[inside.astype(int)])


@pytest.mark.parametrize("axes", ["YXS", "ZYXS", "CYXS"])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
def test_alpha_is_dropped_where_it_is_constant(tmp_path, kind, colours, axes):
    pixels = random_pixels((2, 5, 6, colours + 1)[-len(axes) :])
    photometric = "rgb" if colours == 3 else "minisblack"
    options = {"extrasamples": [kind], "photometric": photometric, "planarconfig": "contig"}
    pixels[..., -1] = 200
    path = write(tmp_path / "a.tif", pixels, axes, **options)
    assert_pages(path, pixels[..., :-1], axes)
    pixels[..., 2, 3, -1] = 199
    write(path, pixels, axes, **options)
    with pytest.raises(InputError, match="alpha channel is not constant"):
        read_tiff(path, MANY, page=0, indices=True)


def test_an_extra_channel_that_is_not_alpha_stays(tmp_path):
    pixels = random_pixels((5, 6, 4))
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unspecified"])
    assert_pages(tmp_path / "a.tif", pixels, "YXS")


def test_stack_is_not_a_single_image(tmp_path):
    path, _ = write_stack(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"5 pages \(axes ZYX\).*the layout `stacks`"):
        read_image(path)


@pytest.mark.parametrize("page", [5, -1])
def test_a_page_that_is_not_there_is_refused(tmp_path, page):
    path, _ = write_stack(tmp_path / "a.tif")
    with pytest.raises(InputError, match=f"it has 5 pages, no page {page}"):
        read_image(path, page=page)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_no_other_page_is_decoded(tmp_path, compression):
    path, pixels = write_stack(tmp_path / "a.tif", 300, compression=compression, metadata=None)
    with tifffile.TiffFile(path) as opened:
        places = [(page.dataoffsets[0], page.databytecounts[0]) for page in opened.pages]
    content = bytearray(path.read_bytes())
    for page, (place, length) in enumerate(places):
        if page != 250:
            content[place : place + length] = bytes(length)
    path.write_bytes(content)
    assert count_pages(path) == 300
    np.testing.assert_array_equal(read_image(path, page=250)[:, :, 0], pixels[250])


def test_the_headers_of_a_stack_are_listed_once_until_it_changes(tmp_path, monkeypatch):
    listed = []
    listing = tiff.list_planes
    monkeypatch.setattr(tiff, "list_planes", lambda *args: listed.append(1) or listing(*args))
    path, pixels = write_stack(tmp_path / "a.tif", compression="zlib")
    assert_pages(path, pixels, "ZYX")
    assert len(listed) == 1
    _, pixels = write_stack(tmp_path / "a.tif", 7, compression="zlib")
    assert_pages(path, pixels, "ZYX")
    assert len(listed) == 2


def test_a_large_stack_is_not_loaded_for_one_of_its_pages(tmp_path):
    path, pages = tmp_path / "a.tif", 1024
    first, last = random_pixels((2, 512, 512))
    description = f"ImageJ=1.11a\nimages={pages}\nslices={pages}\n"
    tifffile.imwrite(path, first, description=description, metadata=None)
    with path.open("r+b") as opened:  # between the first page and the last one is a hole
        opened.seek(last.nbytes * (pages - 2), os.SEEK_END)
        opened.write(last.tobytes())
    tracemalloc.start()
    read = read_tiff(path, MANY, page=pages - 1, indices=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(read, last)
    assert path.stat().st_size > 2**28
    assert peak < 2**22


def test_pages_can_be_read_by_several_threads(tmp_path):
    path, pixels = write_stack(tmp_path / "a.tif", 40, compression="zlib")
    with ThreadPoolExecutor(8) as threads:
        read = threads.map(lambda page: read_tiff(path, MANY, page=page, indices=True), range(40))
        np.testing.assert_array_equal(np.stack(list(read)), pixels)


def test_a_packed_stack_is_unpacked_once_for_all_its_pages(tmp_path, monkeypatch):
    path, pixels = write_stack(tmp_path / "a.tif")
    unpacked = []
    unpack = ArchiveMember.read_bytes
    monkeypatch.setattr(
        ArchiveMember, "read_bytes", lambda self: unpacked.append(1) or unpack(self)
    )
    assert_pages(pack(path), pixels, "ZYX")
    assert len(unpacked) == 1


def test_a_packed_stack_too_large_to_keep_is_read_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "_MAX_KEPT_BYTES", 0)
    monkeypatch.setattr(tiff, "_unpack", None)
    path, pixels = write_stack(tmp_path / "a.tif")
    assert_pages(pack(path), pixels, "ZYX")


@pytest.mark.parametrize("packed", [False, True])
def test_an_ome_file_finds_its_pages_under_its_own_name(tmp_path, packed):
    pixels = random_pixels((3, 4, 6))
    path = tmp_path / "a.tif"
    write_ome(path, pixels, [("a.tif", 2), ("a.tif", 0), ("a.tif", 1)])
    assert_pages(pack(path) if packed else path, pixels[[2, 0, 1]], "TYX")
