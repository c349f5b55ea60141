from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import shannon_entropy
from skimage.metrics import adapted_rand_error, variation_of_information

from tests.support.masks import FOUND, LABELS, drawn, masks
from unetflow.metrics.regions import count_overlaps, information_score, rand_score, score_membranes

NUMBERS = hnp.arrays(np.uint16, (5, 6), elements=st.sampled_from([1, 2, 3, 7]))


@given(NUMBERS, NUMBERS)
def test_rand_score_counts_pairs_of_pixels(true, found):
    pairs = list(product(zip(true.flat, found.flat, strict=True), repeat=2))
    in_true = [a[0] == b[0] for a, b in pairs]
    in_found = [a[1] == b[1] for a, b in pairs]
    both = sum(t and f for t, f in zip(in_true, in_found, strict=True))
    expected = both / (0.5 * sum(in_true) + 0.5 * sum(in_found))
    assert rand_score(count_overlaps(true, found)) == pytest.approx(expected)


@given(NUMBERS, NUMBERS)
def test_information_score_follows_from_variation_of_information(true, found):
    entropies = shannon_entropy(true) + shannon_entropy(found)
    variation = sum(variation_of_information(true, found))
    expected = (entropies - variation) / entropies if entropies else 1
    assert information_score(count_overlaps(true, found)) == pytest.approx(expected, abs=1e-9)


def test_rand_score_is_that_of_scikit_image_except_for_self_pairs():
    random = np.random.default_rng(3)
    true, found = (random.integers(1, 8, (200, 200)).cumsum(axis=1) // 99 + 1 for _ in range(2))
    error, *_ = adapted_rand_error(true, found, ignore_labels=())
    assert rand_score(count_overlaps(true, found)) == pytest.approx(1 - error, abs=2e-4)


def test_a_membrane_that_is_missed_merges_two_cells():
    scores = score_membranes(masks("..#..", "....."))
    # True pieces of 2 and 2 pixels in one found piece of 4.
    assert scores["v_rand"] == pytest.approx((4 + 4) / (0.5 * 16 + 0.5 * (4 + 4)))
    assert scores["v_info"] == 0
    assert scores["pixel_error"] == pytest.approx(1 / 5)


def test_wide_membrane_separates_cells_as_well():
    scores = score_membranes(masks("...#....", "..###..."))
    assert scores["v_rand"] == scores["v_info"] == 1
    assert scores["pixel_error"] == pytest.approx(2 / 8)


def test_cells_that_touch_at_a_corner_are_two():
    assert score_membranes(masks(".# #.", ".. .."))["v_rand"] == pytest.approx(2 / (2 + 1))


def test_ignored_pixels_separate_cells_and_are_not_counted():
    assert score_membranes(masks("..?..", "....."))["v_rand"] == 1
    assert score_membranes(masks("??", "##")) == {"v_rand": 1, "v_info": 1, "pixel_error": 0}


@pytest.mark.parametrize(
    ("truth", "found", "rand", "information"),
    [
        ("###", "###", 1, 1),
        ("###", "...", 1, 1),
        ("...", "###", 0, 0),
        ("...", "...", 1, 1),
        (".....", "..#..", (9 + 4) / (0.5 * 13 + 0.5 * 25), 0),
        (".##", ".##", 1, 1),
    ],
    ids=["no cell", "no true cell", "no found cell", "one cell", "split", "one pixel"],
)
def test_special_cases(truth, found, rand, information):
    scores = score_membranes(masks(truth, found))
    assert scores["v_rand"] == pytest.approx(rand)
    assert scores["v_info"] == pytest.approx(information)


@given(LABELS, FOUND)
def test_bounds_and_ignored_pixels(truth, found):
    scores = score_membranes(masks(truth, found))
    assert all(0 <= value <= 1 for value in scores.values())
    assert score_membranes(masks(truth, np.where(truth == 255, 1 - found, found))) == scores


@given(LABELS)
def test_a_perfect_prediction(truth):
    scores = score_membranes(masks(truth, truth == 1))
    assert scores == pytest.approx({"v_rand": 1, "v_info": 1, "pixel_error": 0})


def test_pixels_of_the_found_class_go_to_the_nearest_piece():
    truth = drawn("..#...")
    assert score_membranes(masks(truth, drawn(".###..")))["v_rand"] == 1
