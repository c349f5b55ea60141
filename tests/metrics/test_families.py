import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unetflow.config.evaluation import ScoreParameters
from unetflow.metrics.families import DEFINITIONS, FAMILIES, score_class
from unetflow.metrics.shared import ClassMasks

TRUTHS = hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 0, 1, 2, 255]))
FOUND = hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 0, 1, 2]))
NUMBERS = hnp.arrays(np.uint16, (6, 7), elements=st.integers(0, 3))
ALL = ScoreParameters(scores=list(FAMILIES), surface_tolerance=1.0)


@given(TRUTHS, FOUND, NUMBERS, st.sampled_from([1, 2]))
def test_every_score_is_a_plain_number_and_finite_where_the_truth_has_the_class(
    truth, found, numbers, index
):
    scores = score_class(truth, found, index, ALL, numbers)
    assert set(scores) == set(DEFINITIONS)
    assert all(type(value) is float and not np.isinf(value) for value in scores.values())
    if np.any((truth == index) & (numbers > 0)):
        assert np.isfinite(list(scores.values())).all()


ALWAYS = {"specificity", "object_count_error", "v_rand", "v_info", "pixel_error"}


@given(TRUTHS.map(lambda truth: np.where(truth == 1, 0, truth)), FOUND, NUMBERS)
def test_an_image_without_the_class_lifts_no_score_of_its_overlap(truth, found, numbers):
    scores = score_class(truth, found, 1, ALL, numbers)
    assert {name for name, value in scores.items() if not np.isnan(value)} == ALWAYS


@given(TRUTHS, FOUND, NUMBERS, FOUND)
def test_predictions_on_ignored_pixels_do_not_count(truth, found, numbers, other):
    changed = np.where(truth == 255, other, found)
    scores = score_class(truth, found, 1, ALL, numbers)
    np.testing.assert_equal(score_class(truth, changed, 1, ALL, numbers), scores)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
@pytest.mark.parametrize("label", [0, 1, 255])
def test_the_smallest_images_have_all_scores_of_what_they_hold(shape, label):
    truth = np.full(shape, label, np.uint8)
    for found in (np.zeros(shape, np.uint8), np.ones(shape, np.uint8)):
        scores = score_class(truth, found, 1, ALL, found.astype(np.uint16))
        known = {name for name, value in scores.items() if np.isfinite(value)}
        objects = set(FAMILIES["instances"]) if not found.any() else set()
        assert known == (set(DEFINITIONS) - objects | ALWAYS if label == 1 else ALWAYS)


def test_only_requested_families_are_computed():
    label = np.array([[0, 1]], np.uint8)
    for name, family in FAMILIES.items():
        scores = score_class(
            label, label, 1, ScoreParameters(scores=[name]), label.astype(np.uint16)
        )
        assert set(scores) == set(family)
    assert score_class(label, label, 1, ScoreParameters(scores=["instances"])) == {}


@given(TRUTHS, FOUND)
def test_crop_contains_the_whole_class(truth, found):
    masks = ClassMasks.of(truth, found, 1)
    box = masks.crop()
    assert box.true.sum() == masks.true.sum()
    assert box.found.sum() == masks.found.sum()
    if masks.true.any() or masks.found.any():
        either = box.true | box.found
        assert all(side.any() for side in (either[0], either[-1], either[:, 0], either[:, -1]))
