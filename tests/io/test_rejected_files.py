"""Files that the readers reject, and their messages."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.support.images import GREY, RGB, png_bytes, random_pixels
from unetflow.core.errors import InputError
from unetflow.io.file_listing import list_members
from unetflow.io.files import ArchiveMember
from unetflow.io.formats import readers
from unetflow.io.formats.readers import read_image, read_mask

FUZZ_PIXELS = 100_000
FORMS = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "tiff": "TIFF"}


def encoded(ending):
    """Return the bytes of a valid file."""
    pixels = random_pixels((12, 9, 3))
    buffer = io.BytesIO()
    if ending == "tif":
        tifffile.imwrite(buffer, pixels, photometric="rgb")
    elif ending == "tiff":
        tifffile.imwrite(buffer, pixels[:, :, 0], compression="lzw", rowsperstrip=4)
    else:
        Image.fromarray(pixels).save(buffer, FORMS[ending])
    return buffer.getvalue()


FILES = {ending: encoded(ending) for ending in FORMS}


@pytest.mark.parametrize("ending", [*FORMS, "PNG"])
def test_empty_file_is_refused(tmp_path, ending):
    (tmp_path / f"a.{ending}").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(f"a.{ending}", b"")
    for file in (tmp_path / f"a.{ending}", ArchiveMember(tmp_path / "a.zip", f"a.{ending}")):
        with pytest.raises(InputError, match="the file is empty") as caught:
            read_image(file)
        assert caught.value.where == str(file)


@pytest.mark.parametrize("ending", [*FORMS, "PNG"])
@pytest.mark.parametrize("read", [read_image, read_mask])
def test_file_without_an_image_is_refused(tmp_path, ending, read):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"this is text, not a picture\n" * 9)
    with pytest.raises(InputError, match=r"cannot be decoded.*Export or copy it again") as caught:
        read(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("ending", FORMS)
@pytest.mark.parametrize("content", FORMS)
def test_file_with_the_extension_of_another_format_is_refused(tmp_path, ending, content):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(FILES[content])
    if FORMS[ending] == FORMS[content]:
        assert read_image(path).shape[:2] == (12, 9)
        return
    with pytest.raises(InputError) as caught:
        read_image(path)
    form = FORMS[content]
    assert caught.value.problem == f"its content is {form}, though its name ends in .{ending}"
    assert caught.value.fix == "Correct the file extension"


@pytest.mark.parametrize("ending", FORMS)
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE html><html><body>404 Not Found", "a web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a web page"),
        (b"PK\x03\x04" + bytes(99), "a zip archive"),
        (b"%PDF-1.7\n" + bytes(99), "PDF"),
    ],
)
def test_other_downloaded_content_is_named(tmp_path, ending, content, kind):
    (tmp_path / f"a.{ending}").write_bytes(content)
    with pytest.raises(InputError, match=f"its content is {kind}, though its name") as caught:
        read_image(tmp_path / f"a.{ending}")
    assert caught.value.fix == "Download or export it again"


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="the file does not exist"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("ending", FORMS)
def test_folder_with_the_name_of_an_image_is_refused(tmp_path, ending):
    (tmp_path / f"a.{ending}").mkdir()
    with pytest.raises(InputError, match="IsADirectoryError"):
        read_image(tmp_path / f"a.{ending}")


@pytest.mark.parametrize("name", ["a.webp", "a", "png"])
def test_unknown_extension_is_refused_with_the_known_ones(tmp_path, name):
    (tmp_path / name).write_bytes(FILES["png"])
    with pytest.raises(InputError, match=r"not one of \.png, \.jpg, \.jpeg, \.tif, \.tiff, \.gif"):
        read_image(tmp_path / name)


def forged_png(depth, colour):
    return lambda width, height: png_bytes(width, height, depth, colour, bytes(99))


def forged_tiff(width, height, compression=None):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((3, 4), np.uint8), metadata=None, compression=compression)
    buffer.seek(0)
    with tifffile.TiffFile(buffer, mode="r+") as file:
        for name, value in {"ImageWidth": width, "ImageLength": height}.items():
            file.pages[0].tags[name].overwrite(value)
    return buffer.getvalue()


def forged_jpeg(width, height):
    content = FILES["jpg"]
    frame = content.index(b"\xff\xc0") + 5
    return content[:frame] + struct.pack(">HH", height, width) + content[frame + 4 :]


def forged_gif(width, height):
    content = bytearray(FILES["gif"])
    frame = 13 + 3 * 2 ** (content[10] % 8 + 1)
    assert content[frame : frame + 1] == b","
    struct.pack_into("<HH", content, 6, width, height)
    struct.pack_into("<HH", content, frame + 5, width, height)
    return bytes(content)


def forged_bmp(width, height):
    content = bytearray(FILES["bmp"])
    struct.pack_into("<ii", content, 18, width, height)
    return bytes(content)


FORGERIES = {
    "PNG": ("a.png", forged_png(8, GREY)),
    "1-bit PNG": ("a.png", forged_png(1, GREY)),
    "16-bit colour PNG": ("a.png", forged_png(16, RGB)),
    "JPEG": ("a.jpg", forged_jpeg),
    "GIF": ("a.gif", forged_gif),
    "BMP": ("a.bmp", forged_bmp),
    "BMP from above": ("a.bmp", lambda width, height: forged_bmp(width, -height)),
    "TIFF": ("a.tif", forged_tiff),
    "deflated TIFF": ("a.tif", lambda width, height: forged_tiff(width, height, "zlib")),
}


@pytest.mark.parametrize(("name", "forge"), FORGERIES.values(), ids=FORGERIES)
class TestHeaderThatClaimsTooMuch:
    def test_is_refused_with_the_parameter_that_allows_it(self, tmp_path, name, forge):
        (tmp_path / name).write_bytes(forge(60_000, 60_000))
        with pytest.raises(
            InputError, match=r"60000 x 60000 pixels.*the allowed 400000000.*ingestion\.max_pixels"
        ):
            read_image(tmp_path / name)

    def test_is_refused_at_a_small_limit(self, tmp_path, name, forge):
        (tmp_path / name).write_bytes(forge(11, 14))
        with pytest.raises(InputError, match="11 x 14 pixels are more than the allowed 153"):
            read_mask(tmp_path / name, max_pixels=153)

    def test_costs_no_memory(self, tmp_path, name, forge):
        (tmp_path / name).write_bytes(forge(60_000, 60_000))
        tracemalloc.start()
        try:
            with pytest.raises(InputError):
                read_image(tmp_path / name)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


def test_gif_whose_image_leaves_its_screen_is_rejected(tmp_path):
    (tmp_path / "a.gif").write_bytes(FILES["gif"][:10] + forged_gif(60_000, 60_000)[10:])
    with pytest.raises(InputError, match="its image is far larger than the screen"):
        read_image(tmp_path / "a.gif")


@pytest.mark.parametrize(("bits", "colour"), [(8, GREY), (16, RGB)])
def test_below_the_allowed_size_no_other_limit_applies(tmp_path, bits, colour):
    (tmp_path / "a.png").write_bytes(forged_png(bits, colour)(14_000, 14_000))
    with pytest.raises(InputError, match="cannot be decoded") as caught:
        read_image(tmp_path / "a.png")
    assert "Decompression" not in caught.value.problem


def test_image_of_exactly_the_allowed_size_is_read(tmp_path):
    for ending, content in FILES.items():
        path = tmp_path / f"a.{ending}"
        path.write_bytes(content)
        assert read_image(path, max_pixels=12 * 9).shape[:2] == (12, 9)


def test_file_too_large_for_the_memory_is_refused(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    (tmp_path / "a.tif").write_bytes(FILES["tif"])
    monkeypatch.setitem(readers.READERS, ".tif", fail)
    with pytest.raises(InputError, match="does not fit into memory"):
        read_image(tmp_path / "a.tif")


def test_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise PermissionError

    (tmp_path / "a.tif").write_bytes(FILES["tif"])
    monkeypatch.setitem(readers.READERS, ".tif", fail)
    with pytest.raises(InputError, match="may not be read"):
        read_image(tmp_path / "a.tif")


def test_image_without_pixels_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.tif").write_bytes(FILES["tif"])
    monkeypatch.setitem(readers.READERS, ".tif", lambda *_, **__: np.zeros((0, 4), np.uint8))
    with pytest.raises(InputError, match="has no pixels"):
        read_image(tmp_path / "a.tif")


def test_multi_page_tiff_is_refused_with_its_number_of_pages(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 4, 6), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match=r"5 pages \(axes QYX\).*Use the layout `stacks`"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "TYXS"])
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
    with pytest.raises(InputError, match="it holds 2 images of different kinds"):
        read_image(tmp_path / "a.tif")


def test_tiff_of_too_many_channels_is_refused(tmp_path):
    pixels = np.zeros((257, 2, 2), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(InputError, match="257 channels are more than the allowed 256"):
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
    assert len(np.unique(read_mask(tmp_path / "a.jpg", soft=True))) > 2
    Image.fromarray(np.full((32, 32), 255, np.uint8)).save(tmp_path / "b.jpg", quality=95)
    assert np.unique(read_mask(tmp_path / "b.jpg")).tolist() == [255]


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_a_large_member_of_an_archive_is_not_unpacked_for_its_header(tmp_path, ending):
    header = {
        ".png": png_bytes(60_000, 60_000, 8, GREY)[:33],
        ".jpg": forged_jpeg(60_000, 60_000),
    }[ending]
    content = header + random_pixels(1_000_000).tobytes() + bytes(20_000_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"a{ending}", content)
    (packed,), _ = list_members(tmp_path / "a.zip")
    tracemalloc.start()
    with pytest.raises(InputError, match="pixels are more than the allowed"):
        read_image(packed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_small_image_with_many_trailing_bytes_is_not_read_to_the_end(tmp_path):
    (tmp_path / "a.png").write_bytes(png_bytes(2, 2, 8, GREY, b"\0\1\2\0\3\4") + bytes(20_000_000))
    with pytest.raises(InputError, match="more bytes than 2 x 2 pixels need"):
        read_image(tmp_path / "a.png")
