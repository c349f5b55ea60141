import numpy as np
import pytest
import scipy
import skimage as ski
from hypothesis import given
from hypothesis import strategies as st

from unetflow.instances.prominence import find_prominent_maxima


def prominent(drawing, prominence):
    """Return the maxima of a drawing such as "151 / 010"; the digits are tenths, 0 is outside."""
    heights = np.array([[int(digit) for digit in row] for row in drawing.split(" / ")]) / 10
    found = find_prominent_maxima(heights.astype(np.float32), heights > 0, prominence)
    return " / ".join("".join("#" if is_one else "." for is_one in row) for row in found)


@pytest.mark.parametrize(
    ("drawing", "prominence", "expected"),
    [
        ("5", 0.1, "#"),  # a single pixel
        ("55 / 55", 0.9, "## / ##"),  # a plateau that fills the image
        ("25352", 0.15, ".#.#."),  # two equal maxima, 0.2 above the pass between them
        ("25453", 0.15, "...#."),  # 0.1 above it: one of them stays
        ("25461", 0.15, "...#."),  # the lower one ends
        ("24361", 0.05, ".#.#."),
        ("1723461", 0.25, ".#...#."),  # a slope with a step has no maximum on it
        ("1624251", 0.25, ".#...#."),  # the small one joins a neighbour across a pass of 0.2
        ("1624251", 0.15, ".#.#.#."),
        ("5204", 0.9, "#..#"),  # each piece has one, however low
        ("500 / 050 / 005", 0.1, "#.. / .#. / ..#"),  # pieces touch at corners
        ("900 / 010 / 007", 0.5, "#.. / ... / ..#"),  # and ways lead across them
    ],
)
def test_by_hand(drawing, prominence, expected):
    assert prominent(drawing, prominence) == expected


@given(
    st.integers(0, 2**32),
    st.floats(0.01, 0.9),
    st.sampled_from([0, 0.5, 1]),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
)
def test_it_is_the_h_maxima_of_scikit_image_within_the_mask(seed, prominence, sigma, shape):
    random = np.random.default_rng(seed)
    mask = random.random(shape) < random.random()
    hills = scipy.ndimage.gaussian_filter(random.random(shape, np.float32), sigma)
    found = find_prominent_maxima(hills, mask, prominence)
    around = np.pad(np.where(mask, hills, np.float32(-1)), 1, constant_values=-1)
    expected = ski.morphology.h_maxima(around, np.float32(prominence))[1:-1, 1:-1]
    np.testing.assert_array_equal(found, mask & (expected > 0))


def test_a_piece_does_not_see_another_one():
    random = np.random.default_rng(4)
    mask = random.random((30, 30)) < 0.35
    hills = random.random((30, 30), np.float32)
    pieces = ski.measure.label(mask, connectivity=2)
    assert pieces.max() > 20
    alone = [find_prominent_maxima(hills, pieces == n, 0.2) for n in range(1, pieces.max() + 1)]
    np.testing.assert_array_equal(find_prominent_maxima(hills, mask, 0.2), np.any(alone, axis=0))
