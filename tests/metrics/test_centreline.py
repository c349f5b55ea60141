import numpy as np
import pytest
from hypothesis import given
from skimage.morphology import skeletonize

from tests.support.masks import FOUND, LABELS, masks
from unetflow.metrics.lines import score_centreline

LINE = "....... ####### ......."


def test_a_gap_in_a_line_costs_centreline_recall():
    scores = score_centreline(masks(LINE, "....... ###.### ......."))
    assert scores["centreline_precision"] == 1
    assert scores["centreline_recall"] == pytest.approx(6 / 7)
    assert scores["cldice"] == pytest.approx(2 * (6 / 7) / (1 + 6 / 7))


def test_line_of_another_width_is_perfect():
    thick = np.zeros((9, 30), np.uint8)
    thick[2:7, 2:28] = 1
    thin = np.zeros_like(thick)
    thin[4, 4:26] = 1
    scores = score_centreline(masks(thick, thin))
    assert scores["centreline_precision"] == 1
    assert scores["centreline_recall"] > 0.9


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        ("#..", "...", 0),
        ("#..", "#..", 1),
        ("#..", "..#", 0),
        ("?#.", "#..", 0),
    ],
)
def test_empty_masks_and_single_pixels(truth, found, expected):
    assert set(score_centreline(masks(truth, found)).values()) == {expected}


@pytest.mark.parametrize("found", ["...", "#.."])
@pytest.mark.parametrize("truth", ["...", "?.."])
def test_an_image_without_a_line_has_no_score(truth, found):
    assert np.isnan(list(score_centreline(masks(truth, found)).values())).all()


@given(LABELS, FOUND)
def test_equals_the_formula_on_the_whole_image(truth, found):
    both = masks(truth, found)
    scores = score_centreline(both)
    changed = np.where(truth == 255, 1 - found, found)
    np.testing.assert_equal(score_centreline(masks(truth, changed)), scores)
    if not both.true.any() or not both.found.any():
        return
    true_line, found_line = skeletonize(both.true), skeletonize(both.found)
    precision = (found_line & both.true).sum() / found_line.sum()
    recall = (true_line & both.found).sum() / true_line.sum()
    assert scores["centreline_precision"] == pytest.approx(precision)
    assert scores["centreline_recall"] == pytest.approx(recall)
    harmonic = 2 * precision * recall / (precision + recall) if precision + recall else 0
    assert scores["cldice"] == pytest.approx(harmonic)


@given(LABELS.filter(lambda truth: (truth == 1).any()))
def test_a_perfect_prediction(truth):
    assert set(score_centreline(masks(truth, truth == 1)).values()) == {1}
