"""TIFF files: which numbers make up a page, and what is done with files that lie."""

import contextlib
import io
import math
import os
import struct
import tempfile
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.imaging.helpers import random_pixels
from unetflow.imaging.archives import ArchiveMember
from unetflow.imaging.errors import InputError
from unetflow.imaging.readers import read_image, read_mask, tiff
from unetflow.imaging.readers.tiff import count_pages, read_tiff

MANY = 10**6


def page_by_numpy(pixels, axes, page):
    """Index the array that was written; channels last, none if there is one."""
    stacked = [size for axis, size in zip(axes, pixels.shape, strict=True) if axis not in "YXCS"]
    position = iter(np.unravel_index(page, stacked) if stacked else ())
    image = pixels[tuple(slice(None) if axis in "YXCS" else next(position) for axis in axes)]
    left = [axis for axis in axes if axis in "YXCS"]
    channels = [axis for axis in left if axis in "CS"]
    image = image.transpose([left.index(axis) for axis in ("Y", "X", *channels)])
    image = image.reshape(*image.shape[:2], -1)
    return image[:, :, 0] if image.shape[2] == 1 else image


def assert_pages(path, pixels, axes):
    pages = math.prod(
        size for axis, size in zip(axes, pixels.shape, strict=True) if axis not in "YXCS"
    )
    assert count_pages(path) == pages
    for page in range(pages):
        read = read_tiff(path, MANY, page=page, indices=True)
        np.testing.assert_array_equal(read, page_by_numpy(pixels, axes, page), strict=True)


def write(path, pixels, axes, **options):
    metadata = {"axes": axes}
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", "metadata": metadata} | options)
    return path


def write_stack(path, pages=5, **options):
    pixels = random_pixels((pages, 12, 9))
    return write(path, pixels, "ZYX", **options), pixels


def write_ome(path, pixels, planes):
    """Write pages whose headers say for each point in time in which file and page it is."""
    height, width = pixels.shape[1:]
    listed = "".join(
        f'<TiffData FirstT="{time}" IFD="{page}" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
        for time, (name, page) in enumerate(planes)
    )
    description = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels DimensionOrder="XYZCT" ID="Pixels:0" SizeC="1" SizeT="{len(planes)}" SizeZ="1" '
        f'SizeX="{width}" SizeY="{height}" Type="uint8">{listed}</Pixels></Image></OME>'
    )
    tifffile.imwrite(path, pixels, description=description, metadata=None, photometric="minisblack")


def pack(path):
    """Return the same file in an archive."""
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, f"x/{path.name}")
    return ArchiveMember(path.with_suffix(".zip"), PurePosixPath("x", path.name))


def page_offsets(path):
    with tifffile.TiffFile(path) as opened:
        return [page.offset for page in opened.pages]


def redirect(path, source, target):
    """Make the header at one place name another one as the next."""
    content = bytearray(path.read_bytes())
    (tags,) = struct.unpack_from("<H", content, source)
    struct.pack_into("<I", content, source + 2 + 12 * tags, target)
    path.write_bytes(content)


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


def test_a_smaller_copy_after_the_image_is_passed_over(tmp_path):
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


def test_a_stack_is_no_single_image(tmp_path):
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
    listing = tiff._list
    monkeypatch.setattr(tiff, "_list", lambda *args: listed.append(1) or listing(*args))
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
    monkeypatch.setattr(tiff, "_KEPT_BYTES", 0)
    monkeypatch.setattr(tiff, "_unpack", None)
    path, pixels = write_stack(tmp_path / "a.tif")
    assert_pages(pack(path), pixels, "ZYX")


@pytest.mark.parametrize("packed", [False, True])
def test_an_ome_file_finds_its_pages_under_its_own_name(tmp_path, packed):
    pixels = random_pixels((3, 4, 6))
    path = tmp_path / "a.tif"
    write_ome(path, pixels, [("a.tif", 2), ("a.tif", 0), ("a.tif", 1)])
    assert_pages(pack(path) if packed else path, pixels[[2, 0, 1]], "TYX")


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("tag", "claim"), [("ImageWidth", "60000 x 16"), ("TileWidth", "60000 x 16")]
    )
    def test_a_claim_is_checked_before_anything_is_decoded(self, tmp_path, tag, claim):
        path = write(tmp_path / "a.tif", random_pixels((3, 16, 16)), "ZYX", tile=(16, 16))
        with tifffile.TiffFile(path, mode="r+") as opened:
            for page in opened.pages:
                page.aspage().tags[tag].overwrite(60_000)
        tifffile.tiffcomment(path, "")
        with pytest.raises(InputError, match=f"{claim} pixels are more than the allowed 400000"):
            read_tiff(path, 400_000, page=0, indices=True)

    def test_too_many_channels(self, tmp_path):
        path = write(tmp_path / "a.tif", random_pixels((257, 2, 2)), "CYX")
        with pytest.raises(InputError, match="257 channels are more than the allowed 256"):
            read_image(path)

    def test_pages_of_different_sizes(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            writer.write(np.zeros((4, 5), np.uint8))
            writer.write(np.zeros((2, 3), np.uint8))
        with pytest.raises(InputError, match="2 images of different kinds"):
            count_pages(tmp_path / "a.tif")

    def test_a_page_that_is_unlike_the_others(self, tmp_path):
        """Tifffile itself compares only some of the pages."""
        path, pixels = write_stack(tmp_path / "a.tif", 12, metadata=None, compression="zlib")
        with tifffile.TiffFile(path, mode="r+") as opened:
            opened.pages[4].tags["ImageLength"].overwrite(11)
        np.testing.assert_array_equal(read_image(path, page=5)[:, :, 0], pixels[5])
        with pytest.raises(InputError, match="not like the first page"):
            read_image(path, page=4)

    def test_missing_strips(self, tmp_path):
        path = write(
            tmp_path / "a.tif", random_pixels((12, 9)), "YX", rowsperstrip=3, compression="lzw"
        )
        with tifffile.TiffFile(path, mode="r+") as opened:
            tag = opened.pages[0].tags["StripOffsets"]
            tag.overwrite(tag.value[:3])
        with pytest.raises(InputError, match="strips or tiles are missing"):
            read_image(path)

    @pytest.mark.parametrize("imagej", [True, False])
    def test_a_stack_that_was_cut(self, tmp_path, imagej):
        path, _ = write_stack(tmp_path / "a.tif", imagej=imagej, truncate=True)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(InputError, match=r"fewer images than|ends too early"):
            count_pages(path)

    def test_bits_that_make_no_number(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint8), metadata=None)
        with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as opened:
            opened.pages[0].tags["BitsPerSample"].overwrite(77)
        with pytest.raises(InputError, match="77 bits along axes YX"):
            read_image(tmp_path / "a.tif")

    @pytest.mark.parametrize("pages", [1, 3, 150])
    @pytest.mark.parametrize("back", [0, 1, 30])
    def test_a_list_of_pages_without_end(self, tmp_path, pages, back):
        path, _ = write_stack(tmp_path / "a.tif", pages, compression="zlib")
        places = page_offsets(path)
        redirect(path, places[-1], places[max(0, pages - 1 - back)])
        for read in (count_pages, read_image):
            with pytest.raises(InputError, match="its list of pages has no end"):
                read(path)

    def test_a_list_of_pages_without_end_under_a_slide_scanner_s_tags(self, tmp_path):
        tags = [(271, "s", 0, "scanner", True), (65420, "H", 1, 1, True), (65441, "H", 1, 9, True)]
        path, _ = write_stack(tmp_path / "a.tif", 150, compression="zlib", extratags=tags)
        places = page_offsets(path)
        redirect(path, places[-1], places[-10])
        with pytest.raises(InputError, match="its list of pages has no end"):
            count_pages(path)

    def test_a_list_of_pages_that_leaves_the_file(self, tmp_path):
        path, _ = write_stack(tmp_path / "a.tif", compression="zlib")
        redirect(path, page_offsets(path)[-1], 10**9)
        with pytest.raises(InputError, match="cannot be decoded"):
            count_pages(path)

    def test_ome_headers_open_no_other_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        tifffile.imwrite("other.tif", np.ones((4, 6), np.uint8), metadata=None)
        write_ome(Path("a.tif"), np.zeros((1, 4, 6), np.uint8), [("a.tif", 0), ("other.tif", 0)])
        assert tifffile.imread("a.tif").max() == 1, "tifffile alone is expected to open it"
        with pytest.raises(InputError, match="lists 2 images, of which it holds 1"):
            count_pages(Path("a.tif"))

    @pytest.mark.parametrize(
        ("truncate", "problem"), [(True, "claims to hold 5 images"), (False, "has no end")]
    )
    def test_more_pages_than_anyone_has(self, tmp_path, monkeypatch, truncate, problem):
        monkeypatch.setattr(tiff, "_MAX_PAGES", 4)
        path, _ = write_stack(tmp_path / "a.tif", truncate=truncate)
        with pytest.raises(InputError, match=problem):
            count_pages(path)

    def test_planes_that_are_larger_than_their_images(self, tmp_path):
        path = write(tmp_path / "a.tif", random_pixels((2, 3, 400)), "YXZ")
        assert_pages(path, random_pixels((2, 3, 400)), "YXZ")
        with pytest.raises(InputError, match="400 x 3 pixels are more than the allowed 1000"):
            read_tiff(path, 1000, page=0, indices=True)

    def test_a_file_that_is_gone(self, tmp_path):
        with pytest.raises(InputError, match="cannot be opened"):
            count_pages(tmp_path / "a.tif")

    def test_a_file_of_another_kind(self, tmp_path):
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
