import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from scipy.spatial.distance import cdist
from skimage.metrics import hausdorff_distance

from tests.support.masks import BINARY, FOUND, LABELS, masks
from unetflow.metrics.lines import score_surface


def outline(mask):
    """Return the corners of pixels on a mask's outline and the length of outline at each."""
    padded = np.pad(mask, 1).astype(int)
    corners, lengths = [], []
    for row in range(mask.shape[0] + 1):
        for column in range(mask.shape[1] + 1):
            around = padded[row : row + 2, column : column + 2]
            count = around.sum()
            if count in (1, 3):
                length = math.sqrt(0.5)
            elif count == 2:
                length = math.sqrt(2) if around[0, 0] == around[1, 1] else 1.0
            else:
                continue
            corners.append((row, column))
            lengths.append(length)
    return np.array(corners), np.array(lengths)


def percentile(distances, lengths):
    order = np.argsort(distances, kind="stable")
    reached = np.cumsum(lengths[order]) / lengths.sum()
    return distances[order][np.argmax(reached >= 0.95)]


def test_two_pixels_three_apart():
    scores = score_surface(masks("#...", "...#"), 2)
    # Corners lie at 0 and 1, and at 3 and 4: distances 3, 2, 2 and 3.
    assert scores["hd95"] == 3
    assert scores["surface_distance"] == pytest.approx(2.5)
    assert scores["surface_dice"] == pytest.approx(0.5)
    assert score_surface(masks("#...", "...#"), 1.9)["surface_dice"] == 0
    assert score_surface(masks("#...", "...#"), 3)["surface_dice"] == 1


@pytest.mark.parametrize(
    "case", json.loads(Path(__file__).with_name("surface_scores.json").read_text())
)
def test_equals_the_scores_of_the_package_surface_distance(case):
    both = masks(" ".join(case["truth"]), " ".join(case["found"]))
    assert score_surface(both, case["tolerance"]) == pytest.approx(case["scores"], rel=1e-12)


@given(BINARY.filter(np.any), FOUND.filter(np.any))
def test_scores_equal_a_comparison_of_all_corners(truth, found):
    (true_corners, true_lengths), (found_corners, found_lengths) = (
        outline(truth == 1),
        outline(found == 1),
    )
    table = cdist(true_corners, found_corners)
    there, back = table.min(axis=1), table.min(axis=0)
    whole = true_lengths.sum() + found_lengths.sum()
    scores = score_surface(masks(truth, found), 1.0)
    within = true_lengths[there <= 1].sum() + found_lengths[back <= 1].sum()
    assert scores["surface_dice"] == pytest.approx(within / whole)
    summed = there @ true_lengths + back @ found_lengths
    assert scores["surface_distance"] == pytest.approx(summed / whole)
    largest = hausdorff_distance(*(_dots(c) for c in (true_corners, found_corners)))
    assert scores["hd95"] <= largest
    # Sums that round otherwise may step over the percentile.
    if not any(
        np.isclose(np.cumsum(lengths[np.argsort(d)]) / lengths.sum(), 0.95).any()
        for d, lengths in ((there, true_lengths), (back, found_lengths))
    ):
        ordered = [_tied(there, true_lengths), _tied(back, found_lengths)]
        assert scores["hd95"] == pytest.approx(max(percentile(*pair) for pair in ordered))


def _tied(distances, lengths):
    order = np.lexsort((lengths, distances))
    return distances[order], lengths[order]


def _dots(corners):
    picture = np.zeros((8, 10), bool)
    picture[tuple(corners.T)] = True
    return picture


HOLDING = LABELS.filter(lambda truth: (truth == 1).any())


@given(HOLDING, FOUND)
def test_bounds_symmetry_and_ignored_pixels(truth, found):
    both = masks(truth, found)
    scores = score_surface(both, 1.5)
    assert 0 <= scores["surface_dice"] <= 1
    assert 0 <= scores["surface_distance"] <= math.hypot(7, 9)
    assert 0 <= scores["hd95"] <= math.hypot(7, 9)
    swapped = type(both)(both.found, both.true, both.counted)
    if both.found.any():
        assert score_surface(swapped, 1.5) == pytest.approx(scores)
    assert score_surface(masks(truth, np.where(truth == 255, 1 - found, found)), 1.5) == scores


@given(HOLDING)
def test_a_perfect_outline(truth):
    assert score_surface(masks(truth, truth == 1), 0.0) == {
        "hd95": 0,
        "surface_distance": 0,
        "surface_dice": 1,
    }


@pytest.mark.parametrize(("truth", "found"), [("#...", "...."), ("?..#", "#...")])
def test_distance_to_an_empty_mask_is_the_image_diagonal(truth, found):
    scores = score_surface(masks(truth, found), 2)
    if "?" in truth:
        found = "...."
    assert scores == {"hd95": math.sqrt(17), "surface_distance": math.sqrt(17), "surface_dice": 0}


@pytest.mark.parametrize("found", ["....", "#..."])
@pytest.mark.parametrize("truth", ["....", "?..."])
def test_an_image_without_the_class_has_no_distances(truth, found):
    assert np.isnan(list(score_surface(masks(truth, found), 2).values())).all()
