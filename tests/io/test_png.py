"""The decoder of 8-bit grey PNG files agrees with libpng."""

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from tests.support.images import GREY, png_bytes
from unetflow.io.formats.picture_files import unpack_grey
from unetflow.io.formats.readers import read_mask

NONE, SUB, UP, AVERAGE, PAETH = range(5)


def predict_paeth(left, upper, upper_left):
    estimate = left + upper - upper_left
    # Of equal distances the first one counts (PNG specification, section 9.4)
    return min((left, upper, upper_left), key=lambda value: abs(estimate - value))


def filter_rows(pixels, kinds):
    """Filter rows one value at a time, as the specification's section 9.2 defines it."""
    height, width = pixels.shape
    rows = b""
    for y, kind in enumerate(kinds):
        row = []
        for x in range(width):
            left = int(pixels[y, x - 1]) if x else 0
            upper = int(pixels[y - 1, x]) if y else 0
            upper_left = int(pixels[y - 1, x - 1]) if x and y else 0
            predicted = {
                NONE: 0,
                SUB: left,
                UP: upper,
                AVERAGE: (left + upper) // 2,
                PAETH: predict_paeth(left, upper, upper_left),
            }[kind]
            row.append((int(pixels[y, x]) - predicted) % 256)
        rows += bytes([kind, *row])
    assert len(rows) == height * (width + 1)
    return rows


@st.composite
def filtered(draw, kinds):
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    values = st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255)
    pixels = draw(st_numpy.arrays(np.uint8, shape, elements=values))
    return pixels, draw(st.lists(st.sampled_from(kinds), min_size=shape[0], max_size=shape[0]))


@given(image=filtered([NONE, SUB, UP, PAETH]))
def test_rows_of_all_filters_come_back(image):
    pixels, kinds = image
    rows = filter_rows(pixels, kinds)
    height, width = pixels.shape
    content = png_bytes(width, height, 8, GREY, rows)
    np.testing.assert_array_equal(imagecodecs.png_decode(content), pixels)
    unpacked = unpack_grey(zlib.compress(rows), width, height)
    if kinds.count(PAETH) > 2:
        assert unpacked is None
    else:
        np.testing.assert_array_equal(unpacked, pixels, strict=True)


@given(image=filtered([NONE, SUB, UP, AVERAGE, PAETH]))
def test_a_mask_is_read_whatever_its_filters_are(image, tmp_path_factory):
    pixels, kinds = image
    height, width = pixels.shape
    path = tmp_path_factory.getbasetemp() / "filters.png"
    path.write_bytes(png_bytes(width, height, 8, GREY, filter_rows(pixels, kinds)))
    np.testing.assert_array_equal(read_mask(path), pixels, strict=True)


@pytest.mark.parametrize("filters", [[AVERAGE], [5], [PAETH] * 3], ids=["average", "5", "many"])
def test_other_filters_are_left_to_libpng(filters):
    rows = b"".join(bytes([kind, 1, 2, 3]) for kind in filters)
    assert unpack_grey(zlib.compress(rows), 3, len(filters)) is None


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        zlib.compress(bytes(11)),
        zlib.compress(bytes(13)),
        zlib.compress(bytes(12))[:-1],
        zlib.compress(bytes(12))[:-4] + struct.pack(">I", 1),
        b"\0" + zlib.compress(bytes(12)),
    ],
    ids=["nothing", "too short", "too long", "cut", "wrong check sum", "no head"],
)
def test_invalid_data_is_left_to_libpng(packed):
    assert unpack_grey(packed, 3, 3) is None
    assert unpack_grey(zlib.compress(bytes(12)), 3, 3) is not None


def test_interlaced_grey_pixels_are_not_taken_for_rows(tmp_path):
    pixels = np.zeros((8, 8), np.uint8)
    pixels[0, 0], pixels[7, 7] = 3, 200
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, right in [*passes, (1, 0, 2, 1)]
        for row in pixels[top::down, left::right]
    )
    content = bytearray(png_bytes(8, 8, 8, GREY, rows))
    content[28] = 1
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "a.png").write_bytes(content)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), pixels)
