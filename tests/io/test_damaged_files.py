"""Damaged files: the readers raise nothing but `InputError`."""

import io
import struct
import tempfile
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.images import random_pixels, write_sixteen_bit_png
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.raster import SemanticMask, SourceImage
from unetflow.annotations.records import Pair, Pairing
from unetflow.config.classes import ClassSpec
from unetflow.config.ingestion import IngestionParameters
from unetflow.core.errors import InputError
from unetflow.data.sample_builder import update_samples
from unetflow.data.samples import SampleFolder
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


@settings(max_examples=150)
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
    for length in range(0, len(content) - 4, 7):
        path.write_bytes(content[:length])
        with pytest.raises(InputError):
            read_image(path)


def test_cut_sixteen_bit_colour_png_is_refused(tmp_path):
    path = tmp_path / "a.png"
    write_sixteen_bit_png(path, random_pixels((8, 8, 3), np.uint16))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be decoded"):
        read_image(path)


def test_png_with_a_flipped_bit_is_refused_wherever_it_is(tmp_path):
    for place in range(len(FILES["png"])):
        content = bytearray(FILES["png"])
        content[place] ^= 1 << place % 8
        (tmp_path / "a.png").write_bytes(content)
        for read in (read_image, read_mask):
            with pytest.raises(InputError):
                read(tmp_path / "a.png")


def test_png_with_a_wrong_check_sum_is_refused_with_the_part_of_the_file(tmp_path):
    content = FILES["png"]
    for name in (b"IHDR", b"IDAT", b"IEND"):
        place = content.index(name)
        (length,) = struct.unpack(">I", content[place - 4 : place])
        wrong = bytearray(content)
        wrong[place + 4 + length] ^= 1
        (tmp_path / "a.png").write_bytes(wrong)
        with pytest.raises(InputError, match=f"the check sum of its chunk {name!r} is wrong"):
            read_image(tmp_path / "a.png")


@pytest.mark.parametrize("zeros", [2, 99, 5000, 20_000])
def test_jpeg_that_ends_in_zeros_is_refused(tmp_path, zeros):
    Image.fromarray(random_pixels((200, 300))).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[:-zeros] + bytes(zeros))
    with pytest.raises(InputError, match="it ends too early"):
        read_image(tmp_path / "a.jpg")


@dataclass(frozen=True)
class Whole:
    """A file that is fine, and where damage to it can be noticed.

    Attributes:
        ending: Of its name.
        content: Its bytes.
        start: Where its pixels begin.
        stop: Where they end.
        watched: The bytes that have a check sum or only one right value.
        page: Which image of it is taken.
    """

    ending: str
    content: bytes
    start: int
    stop: int
    watched: Sequence[int]
    page: int | None = None


def whole_raster(ending, mode="L", **options):
    image = Image.fromarray(random_pixels(SHAPE)).convert(mode)
    if mode == "I;16":
        image = Image.fromarray(random_pixels(SHAPE, np.uint16))
    buffer = io.BytesIO()
    image.save(buffer, FORMS[ending], **options)
    content = buffer.getvalue()
    length = len(content)
    if ending == "png":
        return Whole(ending, content, content.index(b"IDAT") - 4, length, range(length))
    if ending == "jpg":
        frame = content.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
        scan = content.index(b"\xff\xda")
        precision, components = frame + 4, frame + 9
        # Of several scans one may be missing: what is left is a picture, too.
        only_scan = [] if options.get("progressive") else range(scan, scan + 5)
        watched = [0, 1, frame, precision, components, *only_scan]
        return Whole(ending, content, scan, length - 2, watched)
    if ending == "gif":
        frame = 13 + 3 * 2 ** (content[10] % 8 + 1)
        return Whole(ending, content, frame, length - 2, [*range(6), frame])
    (start,) = struct.unpack_from("<I", content, 10)
    bits_and_compression = range(28, 34)
    return Whole(ending, content, start, length, [0, 1, *bits_and_compression])


def whole_tiff(page=None, **options):
    pixels = random_pixels(SHAPE if page is None else (3, *SHAPE))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="minisblack", rowsperstrip=6, **options)
    buffer.seek(0)
    with tifffile.TiffFile(buffer) as file:
        strips = [
            range(start, start + count)
            for start, count in zip(
                file.pages[page or 0].dataoffsets, file.pages[page or 0].databytecounts, strict=True
            )
        ]
    mark_and_place_of_the_header = [0, 1, 2, 3, 6, 7]
    deflated = options.get("compression") == "zlib"
    # Before its check sum of 4 bytes, deflated data may be padded with bits that mean nothing.
    check_summed = [n for strip in strips for n in strip if n != strip.stop - 5] if deflated else []
    # The last byte of LZW holds little but its padding.
    stop = strips[-1].stop - (options.get("compression") == "lzw")
    watched = [*mark_and_place_of_the_header, *check_summed]
    return Whole("tif", buffer.getvalue(), strips[0].start, stop, watched, page)


SHAPE = (12, 8)
WHOLE = {
    "PNG": whole_raster("png"),
    "16-bit PNG": whole_raster("png", "I;16"),
    "palette PNG": whole_raster("png", "P"),
    "JPEG": whole_raster("jpg"),
    "progressive JPEG": whole_raster("jpg", progressive=True),
    "GIF": whole_raster("gif"),
    "BMP": whole_raster("bmp"),
    "TIFF": whole_tiff(),
    "deflated TIFF": whole_tiff(compression="zlib"),
    "LZW TIFF": whole_tiff(compression="lzw"),
    "stack": whole_tiff(page=2),
    "deflated stack": whole_tiff(page=1, compression="zlib"),
}


def flip(content, place, chance):
    flipped = bytearray(content)
    flipped[place] ^= 1 << chance.integers(8)
    return bytes(flipped)


def damage(whole, chance):
    """Yield a name, an ending and bytes for each way in which a file is damaged."""
    content = whole.content
    others = [e for e in FORMS if FORMS[e] != FORMS[whole.ending]]
    yield "under another ending", chance.choice(others), content
    for number in range(5):
        yield f"cut {number}", whole.ending, content[: chance.integers(1, whole.stop)]
        place = chance.choice(whole.watched)
        yield f"flipped {number}", whole.ending, flip(content, place, chance)
    yield "header only", whole.ending, content[: whole.start]
    yield "zeros", whole.ending, bytes(len(content))
    yield "empty", whole.ending, b""
    yield "chance", whole.ending, chance.bytes(len(content))
    yield "chance behind a mark", whole.ending, content[:8] + chance.bytes(len(content))


class Batch:
    """Pairs of which one file may be damaged, while the other one is fine."""

    def __init__(self, folder):
        self.folder = folder
        self.pairs = []
        self.files = {}

    def add(self, name, ending, content, page, role):
        file = self.folder / role / f"{name}.{ending}"
        partner = self.folder / f"partner of {role}" / f"{name}.png"
        for path, bytes_ in ((file, content), (partner, WHOLE["PNG"].content)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes_)
        pictures = SourceImage(file, page), SourceImage(partner)
        image, mask = pictures if role == "image" else reversed(pictures)
        self.pairs.append(Pair(f"{role}/{name}", image, SemanticMask(mask)))
        self.files[f"{role}/{name}"] = str(file)

    def take(self):
        """Take them in within a minute, without a warning."""
        soft = ClassMap((ClassSpec("none", (0,)), ClassSpec("cell", (255,))), binarise_at=128)
        pairing = Pairing(self.pairs, [])
        ingestion = IngestionParameters(max_pixels=FUZZ_PIXELS, workers=4)
        folder = SampleFolder(self.folder / "samples")
        taken = []
        thread = threading.Thread(
            target=lambda: taken.append(update_samples(folder, pairing, soft, ingestion)),
            daemon=True,
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            thread.start()
            thread.join(timeout=60)
        assert taken, "it hangs, or an exception came out"
        assert [str(warning.message) for warning in caught] == []
        return taken[0]


def test_each_of_several_hundred_damaged_files_ends_in_one_refusal_that_names_it(tmp_path, caplog):
    chance = np.random.default_rng(0)
    batch, fine, damaged = Batch(tmp_path), [], []
    for form, whole in WHOLE.items():
        for role in ("image", "mask"):
            batch.add(form, whole.ending, whole.content, whole.page, role)
            fine.append(batch.pairs[-1].id)
            for kind, ending, content in damage(whole, chance):
                batch.add(f"{form}, {kind}", ending, content, whole.page, role)
                damaged.append(batch.pairs[-1].id)
    assert len(damaged) >= 300
    taken = batch.take()
    assert list(taken.descriptions) == fine
    assert [refusal.id for refusal in taken.rejected] == damaged
    for refusal in taken.rejected:
        assert refusal.error.where.startswith(batch.files[refusal.id])
    assert [record.name for record in caplog.records] == ["unetflow.data.sample_builder"]


def test_a_flipped_bit_anywhere_ends_in_a_sample_or_in_a_refusal(tmp_path):
    chance = np.random.default_rng(1)
    batch = Batch(tmp_path)
    for form, whole in WHOLE.items():
        for number in range(20):
            content = flip(whole.content, chance.integers(len(whole.content)), chance)
            role = "image" if number % 2 else "mask"
            batch.add(f"{form} {number}", whole.ending, content, whole.page, role)
    taken = batch.take()
    refused = {refusal.id for refusal in taken.rejected}
    assert len(refused) >= 60, "a bit of a PNG at least has a check sum"
    assert len(taken.descriptions) >= 60
    assert sorted([*taken.descriptions, *refused]) == sorted(pair.id for pair in batch.pairs)
