"""The confidence of objects: fitted on validation objects, checked on test objects."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit
from sklearn.metrics import brier_score_loss

from tests.support.drawn_objects import LABELS, draw
from unetflow.config.mask_export import ObjectParameters
from unetflow.data.samples import INSTANCES, Sample, SampleFolder, write_sample
from unetflow.evaluation.confidence_check import ConfidenceCheck
from unetflow.evaluation.confidence_fitting import (
    FEWEST_OBJECTS,
    calibrate_confidence,
    compare_objects,
    fit_confidence,
)
from unetflow.evaluation.object_matching import find_true_objects, judge_objects, match_objects
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
from unetflow.instances.confidence import Evidence
from unetflow.instances.objects import find_objects
from unetflow.instances.separation import Separation
from unetflow.io.tiff_writer import write_tiff

TWO = ["background", "cell"]
PLAIN = Postprocessing(threshold=0.5)
SEPARATING = ObjectParameters()


def made_up(count, seed=0, height=True):
    """Return objects with a known chance to match, and whether they do."""
    random = np.random.default_rng(seed)
    inside, area = random.uniform(0.5, 1, count), np.exp(random.uniform(2, 6, count))
    outline = np.sqrt(area) * random.uniform(3, 6, count)
    tops = random.uniform(0, 1, count) if height else np.full(count, np.nan)
    evidence = Evidence(
        area, outline, inside * area, outline * random.uniform(0.4, 0.8, count), tops, tops
    )
    log_odds = -11 + 12 * inside + 0.6 * np.log(area) + (tops if height else 0)
    chance = expit(log_odds)
    return evidence, random.random(count) < chance, chance


@pytest.mark.parametrize("height", [True, False])
def test_the_chance_to_match_is_recovered(height):
    evidence, matched, _ = made_up(5000, height=height)
    fitted = fit_confidence(evidence, matched, "objects")
    assert ("height" in fitted.terms) == height
    assert (fitted.objects, fitted.matched) == (5000, matched.sum())
    new, _, chance = made_up(2000, seed=1, height=height)
    error = np.abs(fitted.rate(new) - chance)
    assert error.mean() < 0.02
    assert np.percentile(error, 99) < 0.1
    assert fitted.terms["probability"].weight == pytest.approx(12, rel=0.1)
    assert fitted.terms["log_area"].weight == pytest.approx(0.6, abs=0.2)


def test_where_all_objects_match_the_chance_stays_below_one():
    evidence, matched, _ = made_up(100)
    sure = fit_confidence(evidence, np.ones_like(matched), "objects").rate(evidence)
    assert sure.tolist() == pytest.approx([101 / 102] * 100, abs=1e-3)
    never = fit_confidence(evidence, np.zeros_like(matched), "objects").rate(evidence)
    assert never.tolist() == pytest.approx([1 / 102] * 100, abs=1e-3)


def test_features_that_are_all_alike_do_no_harm():
    evidence, matched, _ = made_up(200)
    alike = evidence._replace(height=np.ones(200), outline_height=evidence.outline * 0.0)
    fitted = fit_confidence(alike, matched, "pieces")
    assert np.isfinite(fitted.rate(alike)).all()
    assert fitted.truth == "pieces"


def test_too_few_objects_give_no_confidence():
    evidence, matched, _ = made_up(FEWEST_OBJECTS - 1)
    assert fit_confidence(evidence, matched, "objects") is None
    nothing = compare_objects(lambda image: None, {}, lambda name: None, PLAIN, "objects")
    assert fit_confidence(*nothing, "objects") is None


def slow_match(label, numbers, objects):
    """Compare each found object with each true one of its class, pixel by pixel."""
    judged, matched = [], []
    for number, index in enumerate(objects.classes, start=1):
        found = (objects.numbers == number) & (label != 255)
        judged.append(found.any())
        true = [(numbers == n) & (label == index) for n in np.unique(numbers[numbers > 0])]
        overlaps = [(t & found).sum() / max((t | found).sum(), 1) for t in true]
        matched.append(max(overlaps, default=0) > 0.5)
    return judged, matched


@given(LABELS, st.data())
def test_matches_equal_a_comparison_of_all_pairs(label, data):
    found = data.draw(hnp.arrays(np.uint8, label.shape, elements=st.sampled_from([0, 0, 1, 2])))
    numbers = data.draw(hnp.arrays(np.uint16, label.shape, elements=st.sampled_from([0, 1, 2, 9])))
    for true in (numbers, find_true_objects(label, None, "pieces")):
        objects = find_objects(found)
        judged, matched = match_objects(label, true, objects)
        expected = slow_match(label, true, objects)
        assert (judged.tolist(), matched.tolist()) == expected


def test_true_objects_are_those_of_the_sample_or_pieces_of_the_foreground():
    label, numbers = draw("11.1", "..#1"), draw("12.3", "...3").astype(np.uint16)
    assert find_true_objects(label, numbers, "objects") is numbers
    assert find_true_objects(label, None, "objects") is None
    np.testing.assert_array_equal(find_true_objects(label, numbers, "pieces"), draw("11.2", "...2"))


def test_objects_of_ignored_pixels_are_not_judged():
    label, found = draw("11.#.1", "11.#.."), draw("11.1.1", "11.1..")
    rows = judge_objects("a", label, draw("44....", "44...."), find_objects(found), TWO)
    assert rows["object"].tolist() == [1, 3]
    assert rows["matched"].tolist() == [True, False]
    assert rows["confidence"].isna().all()
    assert rows["class"].tolist() == ["cell", "cell"]


def dots(seed, count=12):
    """Make an image of disks, half of which are in the truth: the brighter they are, the more."""
    random = np.random.default_rng(seed)
    image, numbers = np.zeros((60, 80, 1), np.uint8), np.zeros((60, 80), np.uint16)
    for place in range(count):
        row, column = 12 + 18 * (place // 4), 10 + 19 * (place % 4)
        disk = np.hypot(*np.ogrid[-row : 60 - row, -column : 80 - column]) < 6
        brightness = random.uniform(0.55, 1)
        image[disk] = round(255 * brightness)
        if random.random() < expit(20 * (brightness - 0.75)):
            numbers[disk] = place + 1
    return image, numbers


class Bright:
    """Takes brightness for the probability, as a segmenter without any network."""

    postprocessing = PLAIN

    def predict_outputs(self, image):
        return NetworkOutputs(image.astype(np.float32) / 255, None)


def write_samples(folder, count, numbered):
    descriptions = {}
    for index in range(count):
        image, numbers = dots(index)
        name = f"s{index}"
        write_sample(folder / name, Sample(image, np.minimum(numbers, 1).astype(np.uint8)))
        if index < numbered:
            write_tiff(folder / name / INSTANCES, numbers)
        descriptions[name] = {"has_instances": index < numbered}
    return SampleFolder(folder, descriptions)


@pytest.mark.parametrize(
    ("numbered", "objects", "truth"), [(20, 240, "objects"), (0, 300, "pieces")]
)
def test_a_confidence_is_fitted_on_validation_objects(tmp_path, caplog, numbered, objects, truth):
    caplog.set_level(logging.INFO)
    fitted = calibrate_confidence(Bright(), write_samples(tmp_path, 25, numbered))
    assert (fitted.objects, fitted.truth) == (objects, truth)
    assert f"of {objects} found in validation images, {fitted.matched} match" in caplog.text
    image, _ = dots(99)
    segmented = PLAIN.model_copy(update={"confidence": fitted})
    found = segmented.with_objects(SEPARATING).segment(Bright().predict_outputs(image)).objects
    brightness = [image[found.numbers == n + 1].mean() for n in range(len(found.classes))]
    assert (np.diff(found.confidence[np.argsort(brightness)]) > 0).all()
    assert found.confidence.min() < 0.2
    assert found.confidence.max() > 0.8


def test_without_numbers_separated_objects_have_no_confidence(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    bright = Bright()
    separation = Separation(seed_threshold=0.5, min_distance=3)
    bright.postprocessing = PLAIN.model_copy(update={"separation": separation})
    assert calibrate_confidence(bright, write_samples(tmp_path, 10, 0)) is None
    assert "no validation image numbers its objects" in caplog.text
    assert calibrate_confidence(Bright(), write_samples(tmp_path, 2, 2)) is None
    assert "needs 50 found validation objects, and 24 are" in caplog.text


def test_objects_that_a_user_separates_otherwise_have_no_confidence(tmp_path):
    fitted = calibrate_confidence(Bright(), write_samples(tmp_path, 10, 10))
    sure = PLAIN.model_copy(update={"confidence": fitted})
    outputs = Bright().predict_outputs(dots(0)[0])
    other = sure.with_objects(ObjectParameters(method="watershed")).segment(outputs).objects
    assert other.confidence is None
    assert sure.with_objects(None).segment(outputs).objects is None


def judged(confidence, matched):
    return pd.DataFrame({"confidence": confidence, "matched": matched})


def test_a_reliability_curve_by_hand():
    table = judged([0.05, 0.05, 0.95, 0.95, 0.95, 1.0, np.nan], [0, 1, 1, 1, 0, 1, 1])
    check = ConfidenceCheck.of(table.astype({"matched": bool}), "objects")
    assert (check.objects, check.matched) == (6, 4)
    assert [part.objects for part in check.bins] == [2, *[0] * 8, 4]
    assert (check.bins[0].mean_confidence, check.bins[0].matched_fraction) == (
        pytest.approx(0.05),
        0.5,
    )
    assert check.bins[1].matched_fraction is None
    last = (0.95 * 3 + 1) / 4
    expected = (2 * abs(0.5 - 0.05) + 4 * abs(0.75 - last)) / 6
    assert check.expected_calibration_error == pytest.approx(expected)
    known = table.dropna()
    assert check.brier_score == pytest.approx(
        brier_score_loss(known["matched"], known["confidence"])
    )
    assert "the objects that the samples number" in check.definition
    assert ConfidenceCheck.model_validate_json(check.model_dump_json()) == check


def test_a_confidence_that_is_right_has_a_small_calibration_error():
    evidence, matched, _ = made_up(3000)
    fitted = fit_confidence(evidence, matched, "objects")
    new, truth, chance = made_up(3000, seed=5)
    error = ConfidenceCheck.of(judged(fitted.rate(new), truth), "objects")
    assert error.expected_calibration_error < 0.04
    wrong = ConfidenceCheck.of(judged(chance**4, truth), "objects")
    assert wrong.expected_calibration_error > 0.1
    assert wrong.brier_score > error.brier_score


def test_without_any_confidence_there_is_nothing_to_check():
    assert ConfidenceCheck.of(judged([np.nan], [True]), "objects") is None
    assert ConfidenceCheck.of(judged([], []), "objects") is None
