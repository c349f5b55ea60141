import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.imaging.helpers import random_pixels
from unetflow.imaging.intensity import IntensityRange, measure_intensity, normalise


def share_at_or_below(values, thousandths):
    """Return the lowest value with at least that share of the values at or below it."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * thousandths // 1000) - 1]


def check_against_all_pixels_at_once(images, bits):
    statistics = measure_intensity(iter(images), bits)
    for channel in range(images[0].shape[2]):
        values = np.concatenate([image[:, :, channel].ravel() for image in images]).tolist()
        low, high = share_at_or_below(values, 5), share_at_or_below(values, 995)
        assert statistics.low[channel] == low
        assert statistics.high[channel] == (high if high > low else low + 1)
        np.testing.assert_allclose(statistics.mean[channel], np.mean(values), rtol=1e-12)
        np.testing.assert_allclose(
            statistics.standard_deviation[channel], np.std(values), rtol=1e-6, atol=2e-3
        )


@given(data=st.data(), dtype=st.sampled_from([np.uint8, np.uint16]), channels=st.integers(1, 3))
def test_statistics_equal_those_of_all_pixels_together(data, dtype, channels):
    shapes = st.tuples(st.integers(1, 8), st.integers(1, 8), st.just(channels))
    images = data.draw(st.lists(hnp.arrays(dtype, shapes), min_size=1, max_size=4))
    check_against_all_pixels_at_once(images, 8 * np.dtype(dtype).itemsize)


@pytest.mark.parametrize("size", [(10, 20), (20, 50), (31, 7), (100, 100)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_percentiles_cut_off_half_a_percent_at_each_end(size, dtype):
    images = [random_pixels((*size, 2), dtype, seed) for seed in range(3)]
    check_against_all_pixels_at_once(images, 8 * np.dtype(dtype).itemsize)


def test_hand_worked_percentiles():
    image = np.arange(200, dtype=np.uint8).reshape(10, 20, 1)
    statistics = measure_intensity([image], 8)
    assert (statistics.low, statistics.high) == ([0.0], [198.0])
    assert statistics.mean == [99.5]


def test_constant_channel_still_has_a_range():
    statistics = measure_intensity([np.full((4, 4, 1), 60_000, np.uint16)], 16)
    assert (statistics.low, statistics.high) == ([60_000.0], [60_001.0])
    assert statistics.standard_deviation == pytest.approx([0], abs=2e-3)


def test_large_images_count_more_than_small_ones():
    images = [np.zeros((1, 1, 1), np.uint8), np.full((3, 3, 1), 10, np.uint8)]
    assert measure_intensity(images, 8).mean == [9.0]


def test_no_image_is_an_error():
    with pytest.raises(ValueError, match="no image"):
        measure_intensity([], 8)


def test_low_becomes_0_and_high_becomes_1_and_the_rest_is_clipped():
    image = np.array([[[50], [100], [150], [300], [500]]], np.uint16)
    scaled = normalise(image, IntensityRange([100.0], [300.0]))
    assert scaled.dtype == np.float32
    assert scaled.ravel().tolist() == [0.0, 0.0, 0.25, 1.0, 1.0]


def test_each_channel_has_its_own_range():
    image = np.array([[[10, 10, 10]]], np.uint8)
    scaled = normalise(image, IntensityRange([0.0, 10.0, 5.0], [20.0, 20.0, 10.0]))
    assert scaled.ravel().tolist() == [0.5, 0.0, 1.0]


def test_dark_image_stays_dark():
    intensity = IntensityRange([0.0], [1000.0])
    dark = random_pixels((8, 8, 1), np.uint8)
    assert normalise(dark, intensity).max() <= 0.255
    np.testing.assert_array_equal(normalise(dark, intensity), (dark / np.float32(1000)))


@given(hnp.arrays(np.uint16, (4, 5, 1)), st.integers(0, 3), st.integers(0, 4))
def test_a_pixel_is_scaled_without_regard_to_the_others(image, row, column):
    intensity = IntensityRange([200.0], [40_000.0])
    alone = normalise(image[row : row + 1, column : column + 1], intensity)
    whole = normalise(image, intensity)
    assert whole[row, column, 0] == alone[0, 0, 0]
    assert 0 <= whole.min() <= whole.max() <= 1
