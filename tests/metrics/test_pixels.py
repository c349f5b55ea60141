import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from unetflow.metrics.pixels import (
    ChargedDice,
    Confusion,
    count_by_class,
    count_confusion,
    image_dice,
)

LABELS = hnp.arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 255]))
NAN = float("nan")
FOUND = hnp.arrays(bool, (4, 5))


def label(*rows):
    return np.array(rows, np.uint8)


def test_hand_worked_masks():
    truth = label([1, 1, 1, 0], [0, 0, 0, 0])
    found = np.array([[1, 1, 0, 1], [0, 0, 0, 1]], bool)
    confusion = count_confusion(truth, found)
    assert confusion == Confusion(2, 2, 1, true_negative=3)
    expected = (4 / 7, 2 / 5, 2 / 4, 2 / 3, 3 / 5, (4 - 3) / 3)
    assert tuple(confusion.scores().values()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 0, 0, 9), (NAN, NAN, NAN, NAN, 1, NAN)),
        ((0, 3, 0, 0), (NAN, NAN, NAN, NAN, 0, NAN)),
        ((0, 3, 0, 9), (NAN, NAN, NAN, NAN, 3 / 4, NAN)),
        ((0, 0, 3, 9), (0, 0, 0, 0, 1, -1)),
        ((0, 2, 3, 2), (0, 0, 0, 0, 1 / 2, -1 / 3)),
        ((4, 0, 0, 0), (1, 1, 1, 1, 1, 0)),
        ((0, 0, 0, 0), (NAN, NAN, NAN, NAN, 1, NAN)),
    ],
    ids=["both empty", "found all", "found", "missed", "disjoint", "equal", "all ignored"],
)
def test_scores_of_special_cases(counts, expected):
    scores = Confusion(*counts).scores()
    assert list(scores) == ["dice", "iou", "precision", "recall", "specificity", "area_error"]
    assert tuple(scores.values()) == pytest.approx(expected, nan_ok=True)


@settings(max_examples=25)
@given(LABELS.filter(lambda truth: {0, 1} <= set(truth.flat)), FOUND)
def test_scores_equal_those_of_scikit_learn(truth, found):
    counted = truth != 255
    true, predicted = truth[counted] == 1, found[counted]
    scores = count_confusion(truth, found).scores()
    assert scores["dice"] == pytest.approx(f1_score(true, predicted, zero_division=1))
    assert scores["iou"] == pytest.approx(jaccard_score(true, predicted, zero_division=1))
    assert scores["recall"] == pytest.approx(recall_score(true, predicted))
    assert scores["specificity"] == pytest.approx(recall_score(~true, ~predicted))
    assert scores["precision"] == pytest.approx(precision_score(true, predicted, zero_division=0))


@given(LABELS, FOUND, st.sampled_from([0, 1]))
def test_counts_equal_a_walk_over_the_pixels_that_count(truth, found, index):
    pairs = [(t, f) for t, f in zip(truth.flat, found.flat, strict=True) if t != 255]
    assert count_confusion(truth, found, index) == Confusion(
        sum(t == index and f for t, f in pairs),
        sum(t != index and f for t, f in pairs),
        sum(t == index and not f for t, f in pairs),
        sum(t != index and not f for t, f in pairs),
    )


@given(LABELS, FOUND, FOUND)
def test_predictions_on_ignored_pixels_do_not_count(truth, found, other):
    changed = np.where(truth == 255, other, found)
    assert count_confusion(truth, changed) == count_confusion(truth, found)


@given(LABELS, FOUND)
def test_dice_and_iou_follow_from_each_other(truth, found):
    scores = count_confusion(truth, found).scores()
    assert scores["dice"] == pytest.approx(2 * scores["iou"] / (1 + scores["iou"]), nan_ok=True)


def test_classes_that_an_image_lacks_do_not_count():
    truth = label([0, 1, 1, 255], [0, 0, 2, 2])
    found = label([0, 1, 0, 3], [0, 0, 2, 0])
    counted = count_by_class(truth, found, 5)
    assert counted == {1: Confusion(1, 0, 1, 5), 2: Confusion(1, 0, 1, 5)}
    assert image_dice(truth, found, 5) == pytest.approx(2 / 3)
    found[0, 1] = 2
    assert image_dice(truth, found, 5) == pytest.approx((0 + 1 / 2) / 2)
    found[0, 0] = 4
    assert list(count_by_class(truth, found, 5)) == [1, 2, 4]
    assert image_dice(truth, found, 5) == pytest.approx((0 + 1 / 2) / 2)


def test_an_empty_image_has_no_dice_whatever_is_found_there():
    empty = label([0, 0, 255])
    assert list(count_by_class(empty, empty, 4)) == [1, 2, 3]
    for found in (empty, label([0, 1, 1])):
        assert np.isnan(image_dice(empty, found, 4))
        assert np.isnan(image_dice(empty, found, 2))


@given(LABELS, FOUND)
def test_the_dice_of_an_image_of_two_classes_is_that_of_the_foreground(truth, found):
    expected = count_confusion(truth, found).scores()["dice"]
    assert image_dice(truth, found.astype(np.uint8), 2) == pytest.approx(expected, nan_ok=True)


def _charged(pairs, classes=2):
    charged = ChargedDice()
    for truth, found in pairs:
        charged.add_label(truth, found, classes)
    return charged.value


EMPTY = label([0, 0, 0, 0])


def test_a_false_alarm_is_charged_by_its_size():
    half = label([1, 1, 0, 0]), label([1, 0, 1, 0])  # Dice 0.5, 2 true pixels
    assert _charged([half]) == 0.5
    assert _charged([half, (EMPTY, EMPTY)]) == 0.5
    assert _charged([half, (EMPTY, label([0, 0, 0, 1]))]) == 0.5 / (1 + 1 / 2)
    whole = EMPTY, label([1, 1, 1, 1])
    assert _charged([half, whole]) == _charged([half, half, (EMPTY, label([1, 1, 0, 0]))]) * 3 / 4
    assert _charged([half, whole, (EMPTY, label([0, 0, 0, 1]))]) == 0.5 / (1 + 1 + 1 / 2)


def test_to_find_nothing_gives_no_charged_dice_however_many_images_are_empty():
    truth = label([1, 1, 0, 0])
    assert _charged([(truth, EMPTY), *[(EMPTY, EMPTY)] * 70]) == 0


def test_the_charged_dice_is_undefined_without_any_foreground():
    ignored = label([255, 255, 255, 255])
    assert np.isnan(_charged([]))
    assert np.isnan(_charged([(EMPTY, label([1, 0, 0, 0])), (ignored, label([1, 1, 1, 1]))]))


def test_ignored_pixels_are_no_false_alarm():
    held = label([1, 255, 0, 0]), label([1, 1, 0, 0])
    assert _charged([held, (label([255, 0, 0, 0]), label([1, 0, 0, 0]))]) == 1


def test_each_class_is_charged_where_the_truth_lacks_it():
    first = label([1, 1, 0, 0]), label([1, 1, 2, 0])
    second = label([2, 0, 0, 0]), label([2, 0, 0, 0])
    # Class 1: Dice 1, without an alarm. Class 2: Dice 1, an alarm of its usual size. None has 3.
    assert _charged([first, second], classes=4) == (1 + 1 / 2) / 2


IMAGES = st.lists(st.tuples(LABELS, hnp.arrays(np.uint8, (4, 5), elements=st.integers(0, 1))))


@given(IMAGES)
def test_the_charged_dice_is_that_of_a_plain_loop(images):
    dices, areas, alarms = [], [], []
    for truth, found in images:
        pairs = [(t == 1, f == 1) for t, f in zip(truth.flat, found.flat, strict=True) if t != 255]
        true = sum(t for t, _ in pairs)
        if true:
            hits = sum(t and f for t, f in pairs)
            dices.append(2 * hits / (true + sum(f for _, f in pairs)))
            areas.append(true)
        else:
            alarms.append(sum(f for _, f in pairs))
    expected = np.nan
    if areas:
        area = sum(areas) / len(areas)
        expected = sum(dices) / (len(dices) + sum(min(1, alarm / area) for alarm in alarms))
    assert _charged(images) == pytest.approx(expected, nan_ok=True)


@given(IMAGES)
def test_without_empty_images_the_charged_dice_is_the_mean_dice(images):
    held = [(truth, found) for truth, found in images if (truth == 1).any()]
    expected = np.mean([image_dice(*pair, 2) for pair in held]) if held else np.nan
    assert _charged(held) == pytest.approx(expected, nan_ok=True)


def test_candidates_are_scored_at_once():
    charged = ChargedDice()
    charged.add(4, np.array([[4, 2], [0, 0]]), np.array([[4, 0], [1, 0]]))
    charged.add(0, np.zeros((2, 2)), np.array([[9, 1], [2, 0]]))
    expected = [[8 / 12 / 2, 4 / 6 / (1 + 1 / 4)], [0, 0]]
    assert charged.values == pytest.approx(np.array(expected))
