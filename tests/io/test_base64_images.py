import base64
import io
import struct
import zlib

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.support.images import random_pixels
from unetflow.core.errors import InputError
from unetflow.io.base64_images import decode_image, encode_numbers, restore_type
from unetflow.io.formats.readers import read_image


def in_base64(data):
    return base64.b64encode(data).decode()


def as_file(pixels, kind):
    file = io.BytesIO()
    if kind == "TIFF":
        tifffile.imwrite(file, pixels)
    else:
        Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("PNG", "png"), ("TIFF", "tif"), ("JPEG", "jpg"), ("GIF", "gif"), ("BMP", "bmp")],
)
def test_a_file_in_base64_is_read_as_from_the_disk(tmp_path, kind, ending):
    data = as_file(random_pixels((23, 17)), kind)
    path = tmp_path / f"image.{ending}"
    path.write_bytes(data)
    expected = read_image(path)
    np.testing.assert_array_equal(decode_image("image", in_base64(data)), expected, strict=True)
    broken = base64.encodebytes(data).decode()  # in lines, as `base64` writes it
    np.testing.assert_array_equal(decode_image("image", broken), expected, strict=True)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_kept(kind):
    pixels = random_pixels((9, 14), np.uint16)
    decoded = decode_image("image", in_base64(as_file(pixels, kind)))
    np.testing.assert_array_equal(decoded[:, :, 0], pixels, strict=True)


def huge_png():
    """Return a small file whose header claims 20,000 x 20,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not base64!", "image 1: it is not base64"),
        ("é", "image 1: it is not base64"),
        ("", "image 1: it is empty"),
        (in_base64(b"hello"), "image 1: its format is not known"),
        (in_base64(b"%PDF-1.7"), "image 1: it is PDF. Give a PNG or TIFF file"),
        (in_base64(as_file(np.zeros((9, 9), "u1"), "PNG")[:-20]), "image 1: the file cannot be"),
        (in_base64(as_file(np.zeros((5, 9, 9), "u1"), "TIFF")), "image 1: it holds 5 pages"),
        (in_base64(huge_png()), "image 1: 20000 x 20000 pixels are more than the allowed"),
    ],
)
def test_bytes_that_are_not_an_image_are_rejected(text, told):
    with pytest.raises(InputError) as caught:
        decode_image("image 1", text)
    assert str(caught.value).startswith(told)


@given(
    st.sampled_from([(np.uint8, np.uint8), (np.uint32, np.uint16)]),
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=40),
    st.data(),
)
def test_another_library_reads_class_indices_and_numbers_of_objects(types, shape, data):
    given_as, read_as = types
    highest = int(np.iinfo(read_as).max)
    numbers = data.draw(hnp.arrays(given_as, shape, elements=st.integers(0, highest)))
    png = base64.b64decode(encode_numbers("a", numbers))
    found = iio.imread(png, extension=".png")
    np.testing.assert_array_equal(found, numbers.astype(read_as), strict=True)


def test_more_objects_than_a_png_file_can_number_are_refused():
    with pytest.raises(InputError, match="image 1: it has 65,536 objects, and a PNG file can"):
        encode_numbers("image 1", np.array([[0, 65_536]], np.uint32))


@given(st.sampled_from(["uint8", "uint16", "float32"]), st.data())
def test_numbers_survive_json(dtype, data):
    kept = hnp.arrays(
        dtype,
        hnp.array_shapes(max_side=6),
        elements={"allow_nan": False, "allow_infinity": False} if dtype == "float32" else None,
    )
    pixels = data.draw(kept)
    received = np.array(pixels.tolist())
    np.testing.assert_array_equal(restore_type("array", received, dtype), pixels, strict=True)


@pytest.mark.parametrize(
    ("numbers", "dtype", "told"),
    [
        ([1, 256], "uint8", "1 of its numbers, such as 256, are not uint8 intensities"),
        ([-1, -2], "uint16", "2 of its numbers, such as -1, are not uint16 intensities"),
        (
            [0.0, 0.5],
            "uint8",
            "such as 0.5, are not uint8 intensities. Send integers from 0 to",
        ),
        ([np.nan], "uint8", "such as nan, are not uint8"),
        ([1e39], "float32", "are not float32 intensities. Send finite numbers"),
    ],
)
def test_numbers_of_another_type_are_refused(numbers, dtype, told):
    with pytest.raises(InputError) as caught:
        restore_type("the array", np.array(numbers), dtype)
    assert str(caught.value).startswith("the array: ")
    assert told in str(caught.value)


def test_types_that_json_does_not_have_are_returned_unchanged():
    pixels = np.zeros(3, np.uint8)
    assert restore_type("array", pixels, "uint16") is pixels
