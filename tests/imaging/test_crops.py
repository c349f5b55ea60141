import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.imaging.helpers import random_pixels, store_samples
from unetflow.imaging.crops import draw_crop, generator_for, pad_mirrored
from unetflow.imaging.samples import Sample


def numbered_sample(height, width):
    """Return a sample whose pixels tell where they come from."""
    places = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    return Sample(np.stack([places, places + 1, places], 2), (places % 7).astype(np.uint8))


def mirrored_place(place, length):
    """Walk back and forth over `length` places, one step at a time."""
    position, step = 0, 1 if place >= 0 else -1
    direction = 1
    for _ in range(0, place, step):
        if length == 1:
            return 0
        if not 0 <= position + direction < length:
            direction = -direction
        position += direction
    return position


@settings(max_examples=100)
@given(*(st.integers(1, 12) for _ in range(3)), st.integers(0, 99))
def test_crop_is_a_slice_continued_by_mirroring_and_ignored_pixels(height, width, size, seed):
    sample = numbered_sample(height, width)
    crop = draw_crop(sample, size, generator_for(seed))
    assert crop.image.shape == (size, size, 3)
    assert crop.label.shape == (size, size)
    assert (crop.image.dtype, crop.label.dtype) == (np.uint16, np.uint8)
    top, left = divmod(int(crop.image[0, 0, 0]), width)
    for row in range(size):
        for column in range(size):
            source = (
                top + row if height > size else mirrored_place(row, height),
                left + column if width > size else mirrored_place(column, width),
            )
            assert crop.image[row, column].tolist() == sample.image[source].tolist()
            inside = top + row < height and left + column < width
            assert crop.label[row, column] == (sample.label[source] if inside else 255)


def test_every_place_is_drawn_about_equally_often():
    sample = numbered_sample(6, 5)
    corners = [int(draw_crop(sample, 4, generator_for(n)).image[0, 0, 0]) for n in range(600)]
    counts = np.unique(corners, return_counts=True)
    assert counts[0].tolist() == [row * 5 + column for row in range(3) for column in range(2)]
    assert counts[1].min() > 60


def test_crop_is_a_pure_function_of_its_key():
    sample = numbered_sample(50, 50)
    first, again = (draw_crop(sample, 8, generator_for(7, 3, "a")) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    others = [(8, 3, "a"), (7, 4, "a"), (7, 3, "b")]
    crops = [draw_crop(sample, 8, generator_for(*key)).image[0, 0, 0] for key in others]
    assert first.image[0, 0, 0] not in crops


def test_parts_of_a_key_do_not_run_together():
    assert generator_for(1, 23).random() != generator_for(12, 3).random()


@pytest.mark.parametrize("hash_seed", ["0", "1234"])
def test_another_process_draws_the_same_numbers(hash_seed):
    code = (
        "from unetflow.imaging.crops import generator_for;"
        "print(generator_for(7, 'sub/zelle', 3).integers(0, 2**60, 3).tolist())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == str(generator_for(7, "sub/zelle", 3).integers(0, 2**60, 3).tolist())


def test_crop_of_a_memory_map_lies_in_memory_and_is_writable(tmp_path):
    sample = Sample(random_pixels((9, 9, 1)), random_pixels((9, 9)) % 2)
    opened = store_samples(tmp_path, {"a": sample})[1]["a"]
    crop = draw_crop(opened, 4, generator_for(0))
    crop.image[:] = 1
    crop.label[:] = 1
    assert not isinstance(crop.image, np.memmap)
    np.testing.assert_array_equal(opened.image, sample.image)


def test_mirror_does_not_double_the_border():
    image = np.array([1, 2, 3], np.uint8).reshape(1, 3, 1)
    padded = pad_mirrored(image, (1, 0), (2, 3))
    assert padded[:, :, 0].tolist() == [[3, 2, 1, 2, 3, 2, 1, 2]] * 2


@given(st.integers(1, 5), st.integers(1, 5), st.tuples(*[st.integers(0, 13)] * 4))
def test_mirror_longer_than_the_image_goes_back_and_forth(height, width, sides):
    top, bottom, left, right = sides
    image = random_pixels((height, width, 2))
    padded = pad_mirrored(image, (top, bottom), (left, right))
    rows = [mirrored_place(row, height) for row in range(-top, height + bottom)]
    columns = [mirrored_place(column, width) for column in range(-left, width + right)]
    np.testing.assert_array_equal(padded, image[np.ix_(rows, columns)], strict=True)
