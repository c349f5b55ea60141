import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.support.images import random_pixels
from unetflow.data import intensity
from unetflow.data.intensity import (
    HISTOGRAM_TYPE,
    IntensityRange,
    intensity_histogram,
    measure_intensity,
    merge_histograms,
    normalise,
)

LARGEST = np.finfo(np.float32).max
WHOLE_TYPES = st.sampled_from([np.uint8, np.uint16])
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def images_of(dtype, channels=1, **options):
    shapes = st.tuples(st.integers(1, 8), st.integers(1, 8), st.just(channels))
    return st.lists(hnp.arrays(dtype, shapes, **options), min_size=1, max_size=4)


def share_at_or_below(values, thousandths):
    """Return the lowest value with at least that share of the values at or below it."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * thousandths // 1000) - 1]


def check_against_all_pixels_at_once(images):
    statistics = measure_intensity(intensity_histogram(image) for image in images)
    for channel in range(images[0].shape[2]):
        values = np.concatenate([image[:, :, channel].ravel() for image in images]).tolist()
        low, high = share_at_or_below(values, 5), share_at_or_below(values, 995)
        assert [low, high] == np.percentile(values, [0.5, 99.5], method="inverted_cdf").tolist()
        assert statistics.low[channel] == low
        assert statistics.high[channel] == (high if high > low else low + 1)
        np.testing.assert_allclose(statistics.mean[channel], np.mean(values), rtol=1e-12)
        np.testing.assert_allclose(
            statistics.standard_deviation[channel], np.std(values), rtol=1e-9, atol=1e-9
        )


def rows_of(histogram):
    return [tuple(row) for row in histogram.tolist()]


@given(data=st.data(), dtype=WHOLE_TYPES, channels=st.integers(1, 3))
def test_statistics_equal_those_of_all_pixels_together(data, dtype, channels):
    check_against_all_pixels_at_once(data.draw(images_of(dtype, channels)))


@pytest.mark.parametrize("size", [(10, 20), (20, 50), (31, 7), (100, 100)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_percentiles_cut_off_half_a_percent_at_each_end(size, dtype):
    check_against_all_pixels_at_once([random_pixels((*size, 2), dtype, seed) for seed in range(3)])


@given(images_of(np.float32, elements=FLOATS))
def test_percentiles_of_floats_are_within_a_4096th_of_the_exact_ones(images):
    statistics = measure_intensity(intensity_histogram(image) for image in images)
    values = np.concatenate([image.ravel() for image in images]).astype(float)
    low, high = np.percentile(values, [0.5, 99.5], method="inverted_cdf")
    assert abs(statistics.low[0] - low) <= abs(low) / 4096
    if low != high and abs(high - low) > abs(high) / 1000:
        assert abs(statistics.high[0] - high) <= abs(high) / 4096
    assert abs(statistics.mean[0] - values.mean()) <= np.abs(values).mean() / 4000


@given(hnp.arrays(np.float32, (3, 4, 1), elements=FLOATS))
def test_each_float_is_counted_at_a_value_within_a_4096th_of_it(image):
    histogram = intensity_histogram(image)
    rounded = np.repeat(histogram["value"].astype(float), histogram["count"])
    exact = np.sort(image.ravel().astype(float))
    assert np.all(np.abs(rounded - exact) <= np.abs(exact) / 4096)


def test_the_largest_floats_stay_finite():
    image = np.array([[[LARGEST], [-LARGEST]]], np.float32)
    assert intensity_histogram(image)["value"].tolist() == [-LARGEST, LARGEST]


def test_close_floats_share_a_row_so_that_histograms_stay_small():
    image = np.linspace(1, 2, 100_000, endpoint=False, dtype=np.float32).reshape(100, 1000, 1)
    histogram = intensity_histogram(image)
    assert len(histogram) <= 2**16
    assert histogram["count"].sum() == 100_000


def test_negative_zero_is_counted_as_zero():
    image = np.array([[[0.0], [-0.0]]], np.float32)
    assert rows_of(intensity_histogram(image)) == [(0, 0.0, 2)]


@given(
    images_of(WHOLE_TYPES, channels=2) | images_of(np.float32, channels=2, elements=FLOATS),
    st.randoms(),
)
def test_histograms_add_up_to_the_same_in_any_order_and_grouping(images, random):
    histograms = [intensity_histogram(image.astype(np.float32)) for image in images]
    merged = merge_histograms(histograms)
    random.shuffle(histograms)
    cut = random.randint(0, len(histograms))
    parts = [merge_histograms(histograms[:cut]), merge_histograms(histograms[cut:])]
    np.testing.assert_array_equal(merge_histograms(parts), merged)
    together = np.concatenate([image.astype(np.float32).reshape(-1, 1, 2) for image in images])
    np.testing.assert_array_equal(merged, intensity_histogram(together))


def test_merging_in_several_steps_gives_the_same_result(monkeypatch):
    histograms = [intensity_histogram(random_pixels((9, 9, 2), np.uint16, n)) for n in range(9)]
    merged = merge_histograms(histograms)
    monkeypatch.setattr(intensity, "_MAX_ROWS", 200)
    np.testing.assert_array_equal(merge_histograms(histograms), merged)


def test_hand_worked_histogram():
    image = np.array([[[7, 0], [7, 65535]], [[2, 65535], [7, 65535]]], np.uint16)
    histogram = intensity_histogram(image)
    assert histogram.dtype == HISTOGRAM_TYPE
    assert rows_of(histogram) == [(0, 2, 1), (0, 7, 3), (1, 0, 1), (1, 65535, 3)]


def test_pixels_outside_are_not_counted():
    image = np.array([[[7], [9]], [[7], [3]]], np.uint8)
    inside = np.array([[True, False], [True, True]])
    assert rows_of(intensity_histogram(image, inside)) == [(0, 3, 1), (0, 7, 2)]


def test_hand_worked_percentiles():
    image = np.arange(200, dtype=np.uint8).reshape(10, 20, 1)
    statistics = measure_intensity([intensity_histogram(image)])
    assert (statistics.low, statistics.high) == ([0.0], [198.0])
    assert statistics.mean == [99.5]


def test_constant_channel_still_has_a_range():
    statistics = measure_intensity([intensity_histogram(np.full((4, 4, 1), 60_000, np.uint16))])
    assert (statistics.low, statistics.high) == ([60_000.0], [60_001.0])
    assert statistics.standard_deviation == [0]


@pytest.mark.parametrize("value", [2.0**24, -1e9, 1e30])
def test_constant_channel_of_large_numbers_is_scaled_without_a_division_by_zero(value):
    image = np.full((4, 4, 1), value, np.float32)
    statistics = measure_intensity([intensity_histogram(image)])
    assert np.isfinite(normalise(image, statistics)).all()


def test_large_images_count_more_than_small_ones():
    images = [np.zeros((1, 1, 1), np.uint8), np.full((3, 3, 1), 10, np.uint8)]
    assert measure_intensity(map(intensity_histogram, images)).mean == [9.0]


def test_no_pixel_is_an_error():
    with pytest.raises(ValueError, match="no pixel"):
        measure_intensity([])


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


@pytest.mark.parametrize(("centre", "width"), [(1.3301, 2e-4), (32768.0, 20.0), (0.0, 1e-30)])
def test_the_contrast_of_a_narrow_range_is_kept(centre, width):
    random = np.random.default_rng(0)
    image = random.normal(centre, width, (400, 400, 1)).astype(np.float32)
    measured = measure_intensity([intensity_histogram(image)])
    low, high = np.percentile(image.astype(np.float64), (0.5, 99.5))
    assert measured.low[0] == pytest.approx(low, abs=0.01 * width)
    assert measured.high[0] == pytest.approx(high, abs=0.01 * width)
    assert normalise(image, measured).std() > 0.1


def test_few_bright_pixels_on_black_are_not_clipped():
    image = np.zeros((100, 100, 1), np.float32)
    image[0, :9] = 1e-3
    measured = measure_intensity([intensity_histogram(image)])
    assert (measured.low, measured.high) == ([0.0], [pytest.approx(1e-3)])


def test_the_histogram_of_many_float_images_does_not_grow_with_their_number():
    random = np.random.default_rng(1)
    images = [random.normal(0, 1, (300, 300, 1)).astype(np.float32) for _ in range(20)]
    merged = merge_histograms(intensity_histogram(image) for image in images)
    assert len(merged) <= 2**16
    assert merged["count"].sum() == 20 * 300 * 300
    measured = measure_intensity([merged])
    exact = np.concatenate([image.ravel() for image in images]).astype(np.float64)
    assert measured.low[0] == pytest.approx(np.percentile(exact, 0.5), abs=1e-3)
    assert measured.mean[0] == pytest.approx(exact.mean(), abs=1e-4)
    assert measured.standard_deviation[0] == pytest.approx(exact.std(), abs=1e-3)
