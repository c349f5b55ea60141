import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label as components

from tests.support.masks import BINARY, FOUND, LABELS, masks
from unetflow.metrics.regions import INSTANCES, count_overlaps, score_instances

NUMBERS = hnp.arrays(np.uint32, (7, 9), elements=st.sampled_from([0, 0, 1, 2, 5, 4_000_000_000]))


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def slow_scores(true, found):
    """Compare each true object with each found one, pixel by pixel."""
    true = [true == number for number in np.unique(true[true > 0])]
    found = [found == number for number in np.unique(found[found > 0])]
    table = np.array([[overlap(t, f) for f in found] for t in true]).reshape(len(true), len(found))
    if not true:
        return dict.fromkeys(INSTANCES, np.nan) | {"object_count_error": len(found)}
    scores = {"object_count_error": len(found) - len(true)}
    jaccards = []
    for bound in range(50, 100, 5):
        hits = (table > bound / 100 + 1e-9).sum()
        scores[f"object_precision_iou{bound}"] = hits / len(found) if found else 0
        scores[f"object_recall_iou{bound}"] = hits / len(true)
        scores[f"object_f1_iou{bound}"] = hits / (len(true) / 2 + len(found) / 2)
        jaccards.append(hits / (len(true) + len(found) - hits))
    matched = table[table > 0.5]
    quality = matched.mean() if matched.size else 0
    recognition = len(matched) / (len(true) / 2 + len(found) / 2)
    shared, joined, used = 0, 0, set()
    for number, mask in enumerate(true):
        partner = int(table[number].argmax()) if found and table[number].any() else None
        joined += mask.sum() if partner is None else (mask | found[partner]).sum()
        if partner is not None:
            shared += (mask & found[partner]).sum()
            used.add(partner)
    joined += sum(mask.sum() for number, mask in enumerate(found) if number not in used)
    return scores | {
        "dsb_score": np.mean(jaccards),
        "panoptic_quality": quality * recognition,
        "segmentation_quality": quality,
        "recognition_quality": recognition,
        "aggregated_jaccard": shared / joined,
    }


def test_one_correct_one_missed_and_one_false_object():
    truth = "##...# ##...# ......"
    numbers = np.array([[4, 4, 0, 0, 0, 9], [4, 4, 0, 0, 0, 9], [0] * 6], np.uint16)
    scores = score_instances(masks(truth, "##.... #..... ....#."), numbers)
    # The first object has an IoU of 3 / 4, which is not above 0.75.
    assert scores["object_count_error"] == 0
    assert scores["object_precision_iou70"] == scores["object_recall_iou70"] == 0.5
    assert scores["object_f1_iou75"] == 0
    assert scores["dsb_score"] == pytest.approx(5 / 10 * 1 / 3)
    assert scores["segmentation_quality"] == pytest.approx(3 / 4)
    assert scores["panoptic_quality"] == pytest.approx(3 / 4 * 0.5)
    assert scores["aggregated_jaccard"] == pytest.approx(3 / (4 + 2 + 1))


def test_predicted_objects_are_eight_connected():
    numbers = np.array([[1, 0], [0, 2]], np.uint16)
    scores = score_instances(masks("#. .#", "#. .#"), numbers)
    assert scores["object_count_error"] == -1
    assert scores["dsb_score"] == 0  # both have an IoU of one half with it, which is not above


@given(BINARY, FOUND, NUMBERS)
def test_scores_equal_a_comparison_of_all_pairs(truth, found, numbers):
    both = masks(truth, found)
    expected = slow_scores(np.where(both.true, numbers, 0), components(both.found, connectivity=2))
    scores = score_instances(both, numbers)
    assert scores == pytest.approx(expected, nan_ok=True)
    assert set(scores) == set(INSTANCES)


@given(LABELS, FOUND, NUMBERS)
def test_bounds_and_ignored_pixels(truth, found, numbers):
    scores = score_instances(masks(truth, found), numbers)
    bounded = [value for name, value in scores.items() if name != "object_count_error"]
    assert np.isnan(bounded).all() or all(0 <= value <= 1 for value in bounded)
    changed = np.where(truth == 255, 1 - found, found)
    other_numbers = np.where(truth == 255, 3, numbers).astype(np.uint32)
    again = score_instances(masks(truth, changed), other_numbers)
    np.testing.assert_equal(again, scores)


@given(LABELS.filter(lambda truth: (truth == 1).any()))
def test_a_perfect_prediction(truth):
    numbers = components(truth == 1, connectivity=2).astype(np.uint16)
    scores = score_instances(masks(truth, truth == 1), numbers)
    assert scores.pop("object_count_error") == 0
    assert set(scores.values()) == {1}


@given(NUMBERS, NUMBERS)
def test_overlaps_equal_a_count_of_each_pair(true, found):
    overlaps = count_overlaps(true, found)
    true_numbers, found_numbers = (np.unique(n[n > 0]).tolist() for n in (true, found))
    expected = {
        (t, f): int(((true == t) & (found == f)).sum())
        for t in true_numbers
        for f in found_numbers
        if ((true == t) & (found == f)).any()
    }
    triples = zip(
        [true_numbers[i] for i in overlaps.true],
        [found_numbers[i] for i in overlaps.found],
        overlaps.pixels.tolist(),
        strict=True,
    )
    assert {(t, f): count for t, f, count in triples} == expected
    assert overlaps.true_areas.tolist() == [(true == t).sum() for t in true_numbers]
    assert overlaps.found_areas.tolist() == [(found == f).sum() for f in found_numbers]
