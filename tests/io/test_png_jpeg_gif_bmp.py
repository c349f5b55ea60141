"""PNG, JPEG, GIF and BMP: pixels are read exactly as stored."""

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.support.images import GREY, RGB, png_bytes, random_pixels
from unetflow.core.errors import InputError
from unetflow.io.formats.readers import read_image, read_mask

PALETTE, GREY_ALPHA, RGB_ALPHA = 3, 4, 6
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
"""First row, first column and steps of the passes but the last (PNG, section 8.2)."""


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunks(content, *chunks):
    """Put chunks before the pixels of a PNG file."""
    place = content.index(b"IDAT") - 4
    return content[:place] + b"".join(chunks) + content[place:]


def png(pixels, bits, colour, *chunks):
    """Make a PNG file of pixels `(height, width)` or `(height, width, channels)`."""
    rows = b""
    for row in pixels.reshape(len(pixels), -1).tolist():
        digits = "".join(format(value, f"0{bits}b") for value in row)
        digits += "0" * (-len(digits) % 8)
        rows += b"\0" + int(digits, 2).to_bytes(len(digits) // 8)
    height, width = pixels.shape[:2]
    return with_chunks(png_bytes(width, height, bits, colour, rows), *chunks)


def interlaced_png(pixels, bits, colour):
    """Make a PNG file of which every eighth pixel comes first."""
    rows = b""
    for top, left, down, right in [*PASSES, (1, 0, 2, 1)]:
        for row in pixels[top::down, left::right]:
            rows += b"\0" + row.tobytes() if row.size else b""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 1)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def orient(image, orientation):
    exif = image.getexif()
    exif[0x0112] = orientation
    return exif


def in_three_dimensions(pixels):
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def test_sixteen_bit_colour_png_of_another_writer_keeps_all_bits(tmp_path):
    pixels = random_pixels((7, 5, 3), np.uint16)
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(pixels))
    assert np.asarray(Image.open(path)).dtype == np.uint8, "Pillow alone is expected to cut it"
    np.testing.assert_array_equal(read_image(path), pixels, strict=True)


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
    with pytest.raises(InputError, match="its alpha channel is not constant"):
        read(tmp_path / "a.png")


class TestPng:
    @pytest.mark.parametrize("bits", [2, 4, 8, 16])
    @pytest.mark.parametrize("read", [read_image, read_mask])
    def test_of_any_number_of_bits_comes_back_as_stored(self, tmp_path, bits, read):
        pixels = random_pixels((5, 7), np.uint16) >> (16 - bits)
        (tmp_path / "a.png").write_bytes(png(pixels, bits, GREY))
        read_pixels = read(tmp_path / "a.png")
        assert read_pixels.dtype == (np.uint16 if bits == 16 else np.uint8)
        np.testing.assert_array_equal(read_pixels.reshape(5, 7), pixels)

    def test_of_one_bit_is_0_and_255(self, tmp_path):
        pixels = random_pixels((5, 11)) % 2
        (tmp_path / "a.png").write_bytes(png(pixels, 1, GREY))
        np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), pixels * 255)
        np.testing.assert_array_equal(read_image(tmp_path / "a.png")[:, :, 0], pixels * 255)

    @pytest.mark.parametrize("bits", [1, 2, 4, 8])
    def test_with_a_palette_gives_indices_or_colours(self, tmp_path, bits):
        indices = random_pixels((5, 7)) >> (8 - bits)
        palette = random_pixels((2**bits, 3), seed=1)
        content = png(indices, bits, PALETTE, chunk(b"PLTE", palette.tobytes()))
        (tmp_path / "a.png").write_bytes(content)
        np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), indices, strict=True)
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), palette[indices], strict=True)

    @pytest.mark.parametrize(("colour", "channels"), [(RGB, 3), (GREY_ALPHA, 2), (RGB_ALPHA, 4)])
    @pytest.mark.parametrize("bits", [8, 16])
    def test_in_colour_or_with_constant_alpha_is_exact(self, tmp_path, bits, colour, channels):
        pixels = random_pixels((5, 7, channels), np.uint16) >> (16 - bits)
        if channels != 3:
            pixels[:, :, -1] = 200
        (tmp_path / "a.png").write_bytes(png(pixels, bits, colour))
        expected = pixels if channels == 3 else pixels[:, :, :-1]
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)

    @pytest.mark.parametrize(
        ("dtype", "colour", "channels"),
        [(np.uint8, GREY, 1), (np.dtype(">u2"), GREY, 1), (np.uint8, RGB, 3), (">u2", RGB, 3)],
    )
    @pytest.mark.parametrize("size", [(9, 11), (1, 1), (3, 8)])
    def test_that_is_interlaced_is_exact(self, tmp_path, dtype, colour, channels, size):
        pixels = random_pixels((*size, channels), np.uint16).astype(dtype)
        bits = 8 * pixels.dtype.itemsize
        (tmp_path / "a.png").write_bytes(interlaced_png(pixels, bits, colour))
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)

    def test_whose_transparent_palette_entry_is_in_use_has_indices_but_no_colours(self, tmp_path):
        chunks = chunk(b"PLTE", bytes(range(9))), chunk(b"tRNS", b"\xff\0")
        used, unused = np.array([[0, 1, 2]]), np.array([[0, 2, 2]])
        (tmp_path / "a.png").write_bytes(png(used, 8, PALETTE, *chunks))
        assert read_mask(tmp_path / "a.png").tolist() == [[0, 1, 2]]
        with pytest.raises(InputError, match="its alpha channel is not constant"):
            read_image(tmp_path / "a.png")
        (tmp_path / "b.png").write_bytes(png(unused, 8, PALETTE, *chunks))
        assert read_image(tmp_path / "b.png").tolist() == [[[0, 1, 2], [6, 7, 8], [6, 7, 8]]]

    @pytest.mark.parametrize("bits", [2, 4, 8, 16])
    def test_with_a_transparent_grey_keeps_its_numbers(self, tmp_path, bits):
        pixels = random_pixels((5, 7), np.uint16) >> (16 - bits)
        transparent = chunk(b"tRNS", struct.pack(">H", int(pixels[0, 0])))
        (tmp_path / "a.png").write_bytes(png(pixels, bits, GREY, transparent))
        np.testing.assert_array_equal(read_image(tmp_path / "a.png")[:, :, 0], pixels)

    @pytest.mark.parametrize("name", [b"tRNS", b"eXIf"])
    def test_of_16_bit_colours_is_refused_rather_than_cut_to_8(self, tmp_path, name):
        data = bytes(6) if name == b"tRNS" else orient(Image.new("L", (1, 1)), 6).tobytes()
        pixels = random_pixels((5, 7, 3), np.uint16)
        (tmp_path / "a.png").write_bytes(png(pixels, 16, RGB, chunk(name, data)))
        with pytest.raises(InputError, match="its 16-bit colours come with"):
            read_image(tmp_path / "a.png")

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
    def test_is_turned_as_pillow_turns_it(self, tmp_path, orientation, mode):
        if mode == "I;16":
            image = Image.fromarray(random_pixels((5, 7), np.uint16))
        else:
            image = Image.fromarray(random_pixels((5, 7, 3))).convert(mode)
        image.save(tmp_path / "a.png", exif=orient(image, orientation))
        with Image.open(tmp_path / "a.png") as opened:
            turned = ImageOps.exif_transpose(opened)
            indices = np.asarray(turned.convert("L") if mode == "1" else turned)
            colours = np.asarray(turned.convert("RGB")) if mode == "P" else indices
        assert indices.shape[:2] == ((7, 5) if orientation > 4 else (5, 7))
        np.testing.assert_array_equal(
            read_image(tmp_path / "a.png"), in_three_dimensions(colours), strict=True
        )
        if mode != "RGB":
            np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), indices, strict=True)

    def test_may_have_something_after_its_end(self, tmp_path):
        pixels = random_pixels((5, 7))
        (tmp_path / "a.png").write_bytes(png(pixels, 8, GREY) + b"more")
        np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_in_colour_is_turned_as_pillow_turns_it(tmp_path, orientation):
    image = Image.fromarray(random_pixels((9, 20, 3)))
    image.save(tmp_path / "a.jpg", exif=orient(image, orientation))
    with Image.open(tmp_path / "a.jpg") as opened:
        turned = np.asarray(ImageOps.exif_transpose(opened))
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), turned, strict=True)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_decoded_as_another_library_does(tmp_path, progressive, channels):
    smooth = np.linspace(0, 255, 40 * 50 * channels).reshape(40, 50, channels).astype(np.uint8)
    path = tmp_path / "a.jpg"
    image = Image.fromarray(smooth.squeeze())
    image.save(path, progressive=progressive, quality=95, subsampling=0)
    expected = in_three_dimensions(imagecodecs.jpeg8_decode(path.read_bytes()))
    assert np.abs(read_image(path).astype(int) - expected).max() <= 1


class TestGif:
    def save(self, path, indices, palette, **options):
        image = Image.fromarray(indices).convert("P")
        image.putdata(indices.ravel().tolist())
        image.putpalette(palette.ravel().tolist())
        image.save(path, optimize=False, **options)
        return path

    @pytest.mark.parametrize("interlace", [0, 1])
    def test_gives_indices_or_colours(self, tmp_path, interlace):
        indices = random_pixels((19, 7)) % 11
        palette = random_pixels((11, 3), seed=1)
        path = self.save(tmp_path / "a.gif", indices, palette, interlace=interlace)
        np.testing.assert_array_equal(read_mask(path), indices, strict=True)
        np.testing.assert_array_equal(read_image(path), palette[indices], strict=True)

    def test_of_all_greys_in_their_order_is_grey(self, tmp_path):
        indices = random_pixels((9, 7))
        greys = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis], 3, axis=1)
        path = self.save(tmp_path / "a.gif", indices, greys)
        np.testing.assert_array_equal(read_mask(path), indices, strict=True)
        np.testing.assert_array_equal(read_image(path)[:, :, 0], indices, strict=True)
        assert read_image(path).shape == (9, 7, 1)

    def test_with_a_transparent_pixel_has_indices_but_no_colours(self, tmp_path):
        palette = random_pixels((3, 3))
        path = self.save(
            tmp_path / "a.gif", np.array([[0, 1, 2]], np.uint8), palette, transparency=1
        )
        assert read_mask(path).tolist() == [[0, 1, 2]]
        with pytest.raises(InputError, match="its alpha channel is not constant"):
            read_image(path)

    def test_of_several_images_is_refused(self, tmp_path):
        first, *others = (Image.fromarray(random_pixels((9, 7), seed=n)) for n in range(3))
        first.save(tmp_path / "a.gif", save_all=True, append_images=others)
        for read in (read_image, read_mask):
            with pytest.raises(InputError, match="it is a film of several images"):
                read(tmp_path / "a.gif")


class TestBmp:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_of_another_writer_is_exact(self, tmp_path, channels):
        pixels = random_pixels((9, 7, channels))
        (tmp_path / "a.bmp").write_bytes(imagecodecs.bmp_encode(pixels.squeeze()))
        np.testing.assert_array_equal(read_image(tmp_path / "a.bmp"), pixels, strict=True)

    def test_of_one_bit_is_0_and_255(self, tmp_path):
        inside = random_pixels((9, 7)) > 127
        Image.fromarray(inside).save(tmp_path / "a.bmp")
        np.testing.assert_array_equal(read_mask(tmp_path / "a.bmp"), inside * np.uint8(255))

    def test_with_a_palette_gives_indices_or_colours(self, tmp_path):
        indices, palette = random_pixels((9, 7)) % 11, random_pixels((11, 3), seed=1)
        image = Image.fromarray(indices).convert("P")
        image.putdata(indices.ravel().tolist())
        image.putpalette(palette.ravel().tolist())
        image.save(tmp_path / "a.bmp")
        np.testing.assert_array_equal(read_mask(tmp_path / "a.bmp"), indices, strict=True)
        np.testing.assert_array_equal(read_image(tmp_path / "a.bmp"), palette[indices])


def test_of_a_photograph_with_a_preview_the_photograph_is_read(tmp_path):
    large, small = (Image.fromarray(random_pixels((size, size, 3), seed=size)) for size in (8, 4))
    large.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[small])
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.n_frames == 2
        expected = np.asarray(image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), expected)


def test_an_animated_png_is_refused(tmp_path):
    frames = [Image.fromarray(random_pixels((4, 4), seed=seed)) for seed in range(2)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="a film of several images"):
        read_image(tmp_path / "a.png")
