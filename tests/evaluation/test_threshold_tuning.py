import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.inference.test_postprocessing import remove_one_by_one
from tests.support.mean_dice import mean_dice
from unetflow.config.evaluation import CalibrationParameters, EvaluationParameters
from unetflow.data.samples import Sample
from unetflow.evaluation.threshold_tuning import (
    choose_best,
    count_by_threshold,
    count_candidates,
    tune_postprocessing,
)
from unetflow.inference.postprocessing import Postprocessing
from unetflow.metrics.pixels import count_confusion

CANDIDATES = EvaluationParameters(
    threshold_candidates=19,
    calibration=CalibrationParameters(pixels=2000, bins=10),
)
SIZES = [0, 2, 5, 45, 90]


@settings(max_examples=40)
@given(
    hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 255])),
    hnp.arrays(np.float32, (6, 7), elements=st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.8, 1.0])),
)
def test_every_candidate_is_scored_as_if_it_were_applied(truth, foreground):
    thresholds, sizes = np.array([0.1, 0.25, 0.6, 0.9]), [0, 2, 5]
    true, false = count_candidates(truth, foreground, thresholds, sizes)
    for row, size in enumerate(sizes):
        for column, threshold in enumerate(thresholds):
            mask = Postprocessing(threshold=threshold).apply(foreground[..., None])
            counts = count_confusion(truth, remove_one_by_one(mask, size) == 1)
            assert true[row, column] == counts.true_positive
            assert false[row, column] == counts.false_positive


def test_a_smallest_object_is_chosen_among_the_candidates_alone():
    """Specks of 4 pixels, and true objects of 9: of 20 candidates in between, one is offered."""
    samples = {}
    for number in range(4):
        label = np.zeros((20, 20), np.uint8)
        label[2:5, 2 + number : 5 + number] = 1
        image = np.where(label == 1, 200, 30)
        image[10:12, 10:12] = 200
        samples[f"{number}"] = Sample(image[:, :, None].astype(np.uint8), label)
    random = np.random.default_rng(0)
    for sizes, expected in (([0, 7], 7), ([0, 3], 0), ([0], 0)):
        tuned, _, _ = tune_postprocessing(predict_brightness, samples, 2, CANDIDATES, random, sizes)
        assert tuned.min_object_size == expected


def test_ties_give_the_smallest_size_and_the_middle_threshold():
    dice = np.array([[0.1, 0.9, 0.9, 0.9, 0.2], [0.95, 0.9, 0.9, 0.9, 0.2]])
    everything, inner = np.ones(5, bool), np.array([False, True, True, True, True])
    assert choose_best(dice[:1], everything) == (0, 2)
    assert choose_best(dice, everything) == (1, 0)
    assert choose_best(dice, inner) == (0, 2)


def speckled(count, seed=0):
    """Make discs with certain pixels, and single wrong pixels that are as certain."""
    random = np.random.default_rng(seed)
    samples = {}
    rows, columns = np.mgrid[:32, :32]
    for number in range(count):
        top, left = random.integers(8, 24, 2)
        label = ((rows - top) ** 2 + (columns - left) ** 2 < 30).astype(np.uint8)
        image = np.where(label == 1, 200, 60)
        image[random.random(label.shape) < 0.01] = 210
        label[:2] = 255
        samples[str(number)] = Sample(image[:, :, None].astype(np.uint8), label)
    return samples


def predict_brightness(image):
    return (image / 255).astype(np.float32)


def test_small_objects_are_removed_if_that_helps_and_images_predicted_once():
    samples, calls = speckled(5), []

    def predict(image):
        calls.append(image.shape)
        return predict_brightness(image)

    tuned, curve, _ = tune_postprocessing(
        predict, samples, 2, CANDIDATES, np.random.default_rng(0), SIZES
    )
    assert len(calls) == len(samples)
    assert 2 < tuned.min_object_size < 100
    assert len(curve) == 19

    def validate(min_size):
        applied = tuned.model_copy(update={"min_object_size": min_size})
        dices = [
            mean_dice(
                sample.label, applied.apply(applied.calibrate(predict_brightness(sample.image))), 2
            )
            for sample in samples.values()
        ]
        return np.mean(dices)

    best = curve["validation_dice"].max()
    assert validate(tuned.min_object_size) == pytest.approx(best)
    assert validate(0) < best
    assert curve["validation_dice_from_0"].max() == pytest.approx(validate(0))
    chosen = curve[f"validation_dice_from_{tuned.min_object_size}"]
    np.testing.assert_array_equal(chosen, curve["validation_dice"])


def test_perfect_network_keeps_all_objects_and_a_middle_threshold():
    samples = {"a": Sample(np.eye(8, dtype=np.uint8)[..., None] * 255, np.eye(8, dtype=np.uint8))}
    tuned, _, _ = tune_postprocessing(
        lambda image: np.where(image > 0, 0.8, 0.2).astype(np.float32),
        samples,
        2,
        CANDIDATES,
        np.random.default_rng(0),
        [0, 2, 8],
    )
    assert tuned.min_object_size == 0
    assert tuned.threshold == pytest.approx(0.5)


def test_more_than_two_classes_get_only_a_temperature():
    random = np.random.default_rng(0)
    label = random.integers(0, 3, (20, 20)).astype(np.uint8)
    sure = np.where(np.eye(3)[label] == 1, 0.98, 0.01).astype(np.float32)
    wrong = random.random(label.shape) < 0.3
    sure[wrong] = np.roll(sure[wrong], 1, axis=1)
    tuned, curve, calibration = tune_postprocessing(
        lambda image: sure,
        {"a": Sample(np.zeros((20, 20, 1), np.uint8), label)},
        3,
        CANDIDATES,
        np.random.default_rng(0),
        SIZES,
    )
    assert (tuned.threshold, tuned.min_object_size, len(curve)) == (None, 0, 0)
    assert tuned.temperature > 1.5
    before, after = (
        calibration[when]["expected_calibration_error"] for when in ("before", "after")
    )
    assert after < before / 2


def test_the_dice_of_all_thresholds_in_one_pass_is_that_of_each_threshold():
    random = np.random.default_rng(0)
    truth = random.choice(np.array([0, 1, 255], np.uint8), (9, 11))
    foreground = random.random(truth.shape).round(1)
    thresholds = np.linspace(0, 1, 7)
    true, false = count_by_threshold(truth, foreground, thresholds)
    for column, threshold in enumerate(thresholds):
        mask = Postprocessing(threshold=threshold).apply(np.float32(foreground)[..., None])
        counts = count_confusion(truth, mask == 1)
        assert (true[column], false[column]) == (counts.true_positive, counts.false_positive)


def _tune(samples):
    random = np.random.default_rng(0)
    return tune_postprocessing(predict_brightness, samples, 2, CANDIDATES, random, SIZES)


def _mostly_empty(false):
    """Make 3 images with a bright line, and 7 empty ones with as many pixels nearly as bright."""
    samples = {}
    for number in range(10):
        label = np.zeros((16, 16), np.uint8)
        label[8, 2:12] = number < 3
        image = np.where(label == 1, 190, 20)
        image[3, :false] = 150 if number >= 3 else 20
        samples[f"{number}"] = Sample(image[..., None].astype(np.uint8), label)
    return samples


def test_false_alarms_on_empty_images_raise_the_threshold():
    tuned, curve, _ = _tune(_mostly_empty(false=5))
    chosen = curve["validation_dice"].max()
    assert tuned.apply(tuned.calibrate(np.full((1, 1, 1), 150 / 255, np.float32))).max() == 0
    assert chosen == 1
    # Lower thresholds give 7 alarms of half the usual size.
    assert round(3 / (3 + 7 * 5 / 10), 6) in set(curve["validation_dice"].round(6))


def test_a_threshold_that_finds_nothing_is_never_chosen_where_most_images_are_empty():
    samples = {
        name: Sample(sample.image, sample.label) for name, sample in _mostly_empty(false=9).items()
    }
    for name in ("3", "4"):  # as bright as the lines: whatever finds those finds these, too
        samples[name].image[3, :12] = 190
    tuned, curve, _ = _tune(samples)
    assert curve["validation_dice"].max() == pytest.approx(3 / (3 + 2))
    assert tuned.apply(tuned.calibrate(np.full((1, 1, 1), 190 / 255, np.float32))).max() == 1


def test_without_any_foreground_the_middle_threshold_is_taken_and_said(caplog):
    samples = {name: s for name, s in _mostly_empty(false=5).items() if name not in "012"}
    tuned, curve, _ = _tune(samples)
    assert curve["validation_dice"].isna().all()
    assert tuned.threshold == pytest.approx(curve["threshold"][9])
    assert tuned.min_object_size == 0
    assert "No validation image holds foreground" in caplog.text
