import tracemalloc

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from tests.support.images import random_pixels
from tests.support.large_files import in_memory
from unetflow.core.errors import InputError
from unetflow.inference import segment
from unetflow.inference.blockwise.result_files import ResultFolders
from unetflow.inference.blockwise.segment_blocks import Progress
from unetflow.inference.segment import count_classes, shrink_image, shrink_label
from unetflow.io.image_file import open_large


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(1, 3),
    st.integers(1, 50),
    st.integers(1, 2000),
)
def test_an_overview_has_the_mean_and_the_middle_of_each_square(size, channels, edge, numbers):
    pixels = random_pixels((*size, channels), np.uint16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "_STRIP_NUMBERS", numbers)
        found = shrink_image(in_memory(pixels), edge)
        label = shrink_label(in_memory(pixels[:, :, 0] % 7), found.step)
    step = found.step
    height, width = (length // step for length in size)
    assert found.means.shape == (height, width, channels) == found.sample.shape
    assert max(height, width) <= edge or step == min(size)
    assert step == 1 or max(-(-length // (step - 1)) for length in size) > edge
    for row in range(height):
        for column in range(width):
            square = pixels[row * step :][:step, column * step :][:, :step]
            np.testing.assert_allclose(
                found.means[row, column], square.mean(axis=(0, 1)), rtol=1e-5
            )
            middle = square[step // 2, step // 2]
            np.testing.assert_array_equal(found.sample[row, column], middle)
            assert label[row, column] == middle[0] % 7


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(2, 9), st.integers(1, 2000))
def test_the_pixels_of_each_class_are_counted_strip_by_strip(size, classes, numbers):
    label = random_pixels((*size, 1), np.uint8) % classes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "_STRIP_NUMBERS", numbers)
        found = count_classes(in_memory(label), classes)
    assert found.tolist() == [np.count_nonzero(label == index) for index in range(classes)]


def test_an_overview_takes_little_more_memory_than_its_strips(tmp_path):
    tifffile.memmap(tmp_path / "a.tif", shape=(4000, 4000), dtype="u2").flush()
    with open_large(tmp_path / "a.tif") as image, pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "_STRIP_NUMBERS", 2**18)
        tracemalloc.start()
        step = shrink_image(image, 200).step
        shrink_label(image, step)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4e6  # the image itself takes 32 million bytes


def test_progress_is_logged_each_tenth_and_each_half_minute():
    now, told = [0.0], []
    progress = Progress("slide", told.append, lambda: now[0])
    for done in range(1, 41):
        now[0] += 1
        progress(done, 1000)
    assert told == ["slide: 30 of 1000 blocks are done (3 %)"]
    told.clear()
    for done in range(41, 1001):
        progress(done, 1000)
    assert [line.rpartition("(")[2] for line in told] == [f"{p} %)" for p in range(10, 101, 10)]
    told.clear()
    fast = Progress("slide", told.append, lambda: 0.0)
    for done in range(1, 4):
        fast(done, 3)
    assert [line.rpartition("(")[2] for line in told] == ["33 %)", "66 %)", "100 %)"]


def test_results_are_named_after_their_image(tmp_path):
    folders = ResultFolders(tmp_path / "a", tmp_path / "b", ".zarr")
    assert folders.label_of("deep/slide.1") == tmp_path / "a/deep/slide.1.zarr"
    assert folders.probabilities_of("x") == tmp_path / "b/x.zarr"
    with pytest.raises(InputError, match=r"the ending '\.png' is not one of"):
        ResultFolders(tmp_path, tmp_path, ".png")
