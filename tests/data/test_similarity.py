from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetflow.data.duplicates import ThumbnailComparison, correlate_shifted, make_thumbnail


def best_correlation_of_overlaps(one, other):
    """NumPy's own correlation of what two pictures share, for each shift by itself."""
    best = -1.0
    for down, right in product(range(-2, 3), repeat=2):
        first = one[max(-down, 0) : 32 + min(-down, 0), max(-right, 0) : 32 + min(-right, 0)]
        second = other[max(down, 0) : 32 + min(down, 0), max(right, 0) : 32 + min(right, 0)]
        best = max(best, np.corrcoef(first.ravel(), second.ravel())[0, 1])
    return best


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_shifted_correlation_is_the_best_of_all_overlaps(seed, number):
    pictures = np.random.default_rng(seed).normal(size=(1 + number, 32, 32))
    pictures[1] = np.roll(pictures[0], (2, -1), (0, 1))
    found = correlate_shifted(pictures.reshape(len(pictures), -1))
    expected = [best_correlation_of_overlaps(pictures[0], other) for other in pictures[1:]]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found[0] == pytest.approx(1)


def test_image_without_contrast_correlates_with_nothing():
    pictures = np.stack([np.zeros(1024), np.arange(1024.0), np.zeros(1024)])
    np.testing.assert_array_equal(correlate_shifted(pictures), [0, 0])
    np.testing.assert_array_equal(correlate_shifted(pictures[1:]), [0])


def test_each_thumbnail_is_loaded_once():
    opened = []

    def load_thumbnail(name):
        opened.append(name)
        return np.random.default_rng(int(name)).integers(0, 255, (32, 32), np.uint8)

    comparison = ThumbnailComparison([str(number) for number in range(9)], load_thumbnail)
    comparison.correlate(0, np.arange(1, 9))
    comparison.correlate(1, np.arange(2, 9))
    assert sorted(opened) == [str(number) for number in range(9)]


def test_thumbnail_runs_from_0_to_255_and_is_0_without_contrast():
    ramp = np.linspace(5, 900, 64 * 64, dtype=np.float32).reshape(64, 64, 1)
    small = make_thumbnail(ramp)
    assert (small.shape, small.dtype, small.min(), small.max()) == ((32, 32), np.uint8, 0, 255)
    assert not make_thumbnail(np.full((7, 9, 3), 40, np.uint8)).any()
