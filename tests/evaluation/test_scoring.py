import json

import numpy as np
import pytest
import yaml
from skimage.filters import threshold_otsu
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.conftest import ROOT
from tests.support.images import random_pixels
from tests.support.score_tables import of_dice
from unetflow.config.evaluation import ScoreParameters
from unetflow.data.samples import Sample
from unetflow.evaluation.headline import describe_scores
from unetflow.evaluation.metrics_file import Metrics
from unetflow.evaluation.scoring import choose_otsu_side, score_images, segment_by_otsu
from unetflow.evaluation.significance import confidence_interval
from unetflow.evaluation.summary import Conditions, summarise_scores
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
from unetflow.metrics.families import FAMILIES

TWO = ["background", "nucleus"]
HALF = np.array([[0, 0, 1, 1]] * 4, np.uint8)


def sample(left, right, label=HALF):
    return Sample(np.where(HALF == 1, right, left)[:, :, None].astype(np.uint8), label)


def test_otsu_ignores_ignored_pixels():
    image = np.array([[[0], [100], [100]], [[0], [100], [200]]], np.uint8)
    inside = image[:, :, 0] > 0
    found = segment_by_otsu(image, bright=True, inside=inside)
    np.testing.assert_array_equal(found, image[:, :, 0] == 200)
    outside = segment_by_otsu(image, bright=True, inside=image[:, :, 0] == 0)
    assert not outside.any()


@pytest.mark.parametrize("bright", [True, False])
def test_otsu_thresholds_the_mean_of_the_channels(bright):
    image = random_pixels((20, 20, 3), np.uint16)
    grey = image.astype(float).sum(axis=2) / 3
    found = segment_by_otsu(image, bright=bright)
    np.testing.assert_array_equal(found, (grey > threshold_otsu(grey)) == bright)


@pytest.mark.parametrize("bright", [True, False])
def test_otsu_finds_nothing_in_a_constant_image(bright):
    assert not segment_by_otsu(np.full((3, 4, 1), 7, np.uint8), bright=bright).any()


def test_otsu_separates_two_grey_values():
    image = sample(10, 200).image
    np.testing.assert_array_equal(segment_by_otsu(image, bright=True), HALF == 1)
    np.testing.assert_array_equal(segment_by_otsu(image, bright=False), HALF == 0)


def test_side_with_the_higher_mean_dice_is_chosen():
    assert choose_otsu_side({"a": sample(10, 200), "b": sample(0, 9)}) is True
    assert choose_otsu_side({"a": sample(200, 10), "b": sample(9, 0)}) is False
    assert choose_otsu_side({"a": sample(9, 0), "b": sample(9, 0), "c": sample(0, 9)}) is False


def test_a_side_that_finds_much_in_empty_images_is_charged():
    image = np.full((4, 4, 1), 200, np.uint8)
    image[:2, 2:], image[2, 2], image[3, :2] = 0, 0, 0  # dark: 5 of 8 true pixels, and 2 others
    held = {"a": Sample(image, HALF)}
    assert choose_otsu_side(held) is False
    mostly_dark = np.zeros((4, 4, 1), np.uint8)
    mostly_dark[0, 0] = 99
    empty = {name: Sample(mostly_dark, np.zeros_like(HALF)) for name in "bcd"}
    assert choose_otsu_side(held | empty) is True


def test_without_foreground_the_bright_side_is_chosen():
    image = sample(9, 0).image
    assert choose_otsu_side({"a": Sample(image, np.zeros_like(HALF))}) is True


def test_bright_side_is_chosen_when_both_are_equal():
    assert choose_otsu_side({"a": sample(9, 0), "b": sample(0, 9)}) is True


PIXELS = ["dice", "iou", "precision", "recall", "specificity", "area_error"]


COUNTED = ["true_pixels", "found_pixels", "correct_pixels"]
DETECTED = ["detected", "false_alarm", "foreground_score"]
NAN = float("nan")


def no_objects(sample_id):
    return None


def score(labels, samples, classes, families=("pixels",), **options):
    """Score labels that are found one after the other, with the probabilities 0 and 1."""
    found = iter(labels)

    postprocessing = Postprocessing(threshold=0.5 if len(classes) == 2 else None)

    def segment(image):
        label = next(found)
        one_hot = np.eye(len(classes), dtype=np.float32)[label]
        probabilities = one_hot[:, :, 1:] if len(classes) == 2 else one_hot
        return postprocessing.segment(NetworkOutputs(probabilities, None))

    options = {"objects_of": no_objects, "otsu_bright": None} | options
    return score_images(
        segment,
        samples,
        classes,
        ScoreParameters(scores=list(families), surface_tolerance=1.5),
        **options,
    )


def sum_up(scored, classes, threshold=None, families=("pixels",)):
    wanted = ScoreParameters(scores=list(families), surface_tolerance=1.5)
    conditions = Conditions(classes, Postprocessing(threshold=threshold), wanted)
    table, ranking, objects = scored
    metrics = summarise_scores(table, ranking, conditions, objects)
    return metrics.model_dump(mode="json")


def test_each_image_has_its_own_row_of_scores():
    ignored = HALF.copy()
    ignored[:, 3] = 255
    samples = {"a": sample(10, 200), "b": sample(200, 10, ignored), "c": sample(5, 5, HALF * 0)}
    found = np.zeros((4, 4), np.uint8)
    found[:2, 2:] = 1
    table, *_ = score([found] * 3, samples, TWO, otsu_bright=True)
    assert table.columns.tolist() == [
        *("id", *PIXELS, "background_dice", "otsu_dice", *DETECTED, "counted_pixels"),
        *(*COUNTED, "otsu_found_pixels", "otsu_correct_pixels"),
    ]
    assert table["id"].tolist() == ["a", "b", "c"]
    assert table["dice"].tolist() == pytest.approx(
        [2 * 4 / (4 + 8), 2 * 2 / (2 + 4), NAN], nan_ok=True
    )
    expected = {
        "iou": [0.5, 0.5, NAN],
        "precision": [1, 1, NAN],
        "recall": [0.5, 0.5, NAN],
        "specificity": [1, 1, 0.75],
        "area_error": [-0.5, -0.5, NAN],
        "background_dice": [0, 0, NAN],
        "otsu_dice": [1, 0, NAN],
        "detected": [1, 1, NAN],
        "false_alarm": [NAN, NAN, 1],
        "foreground_score": [1, 1, 1],
        "counted_pixels": [16, 12, 16],
        "true_pixels": [8, 4, 0],
        "found_pixels": [4, 2, 4],
        "correct_pixels": [4, 2, 0],
        "otsu_found_pixels": [8, 8, 0],
        "otsu_correct_pixels": [8, 0, 0],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(table[name], values, name)


def test_objects_are_scored_in_the_images_that_number_them():
    samples = {"a": sample(10, 200), "b": sample(10, 200)}
    numbers = {"a": None, "b": np.array([[0, 0, 7, 7], [0, 0, 7, 7], [0, 0, 9, 9], [0, 0, 9, 9]])}
    families = ("pixels", "instances")
    scored = score([HALF, HALF], samples, TWO, families, objects_of=numbers.get)
    assert np.isnan(scored[0]["object_count_error"][0])
    assert scored[0]["object_count_error"][1] == -1
    summary = sum_up(scored, TWO, 0.5, families)["scores"]
    assert summary["object_count_error"]["images"] == 1
    assert summary["object_count_error"]["mean"] == -1
    assert summary["dice"]["images"] == 2
    assert np.isnan(scored[0]["true_objects"][0])
    assert scored[0].loc[1, ["true_objects", "found_objects"]].tolist() == [2, 1]
    without, *_ = score([HALF, HALF], samples, TWO, families)
    counts = ("counted_pixels", *COUNTED)
    assert without.columns.tolist() == ["id", *PIXELS, "background_dice", *DETECTED, *counts]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_its_columns_and_their_definitions(family):
    classes, labels = ["sky", "car", "tree"], [HALF + HALF[:, ::-1] * 2, HALF]
    samples = {name: sample(10, 200, label) for name, label in zip("ab", labels, strict=True)}
    scored = score(labels[::-1], samples, classes, [family], objects_of=lambda _: HALF + 1)
    summary = sum_up(scored, classes, families=[family])["scores"]
    for name in FAMILIES[family]:
        car, tree = summary[f"{name}_car"], summary[f"{name}_tree"]
        assert "class 'car'" in car["definition"]
        assert FAMILIES[family][name].formula in tree["definition"]
        assert set(car["computation"]) >= {
            "taken",
            "averaging",
            "classes",
            "threshold",
            "empty",
            "background",
            "region",
            "resolution",
        }
        means = scored[0][[f"{name}_car", f"{name}_tree"]].mean(axis=1)
        assert scored[0][name].tolist() == pytest.approx(means.tolist(), nan_ok=True)


def test_the_surface_dice_says_its_tolerance():
    families = ["pixels", "surface"]
    scored = score([HALF], {"a": sample(10, 200)}, TWO, families)
    scores = sum_up(scored, TWO, 0.5, families)["scores"]
    assert scores["surface_dice"]["computation"]["tolerance"] == "1.5 pixels"
    assert "tolerance" not in scores["hd95"]["computation"]


def test_ranking_scores_are_those_of_all_pixels_together():
    samples = {"a": sample(10, 200), "b": sample(0, 9, HALF * 0)}
    scored = score([HALF, HALF], samples, TWO)
    pooled = sum_up(scored, TWO, 0.5)["pooled"]
    truth, probability = [*HALF.flat, *np.zeros(HALF.size)], [*HALF.flat] * 2
    assert pooled["roc_auc"]["value"] == pytest.approx(roc_auc_score(truth, probability))
    expected = average_precision_score(truth, probability)
    assert pooled["average_precision"]["value"] == pytest.approx(expected)
    assert pooled["roc_auc"]["error"] < 0.2
    assert "all counted pixels of all test images together" in pooled["roc_auc"]["definition"]
    empty = score([HALF], {"b": sample(0, 9, HALF * 0)}, TWO)
    assert sum_up(empty, TWO, 0.5)["pooled"] == {}


def test_ranking_scores_are_averaged_over_present_classes():
    classes = ["sky", "car", "tree", "bus"]
    truth = np.array([[0, 1, 2, 2]], np.uint8)
    found = np.array([[0, 1, 2, 1]], np.uint8)
    scored = score([found], {"a": Sample(np.zeros((1, 4, 1)), truth)}, classes)
    pooled = sum_up(scored, classes)["pooled"]
    values = {
        f"roc_auc_{name}": roc_auc_score(truth.flat == index, found.flat == index)
        for index, name in ((1, "car"), (2, "tree"))
    }
    assert {name: pooled[name]["value"] for name in values} == pytest.approx(values)
    assert pooled["roc_auc"]["value"] == pytest.approx(np.mean(list(values.values())))
    assert "roc_auc_bus" not in pooled


def test_summary_holds_plain_numbers_with_their_definitions():
    samples = {"a": sample(10, 200), "b": sample(0, 9)}
    scored = score([HALF, HALF * 0], samples, TWO, otsu_bright=False)
    summary = sum_up(scored, TWO, 0.4567)
    assert yaml.safe_load(yaml.safe_dump(summary)) == summary
    assert (summary["class"], summary["threshold"], summary["test_images"]) == (
        "nucleus",
        0.4567,
        2,
    )
    dice = summary["scores"]["dice"]
    assert (dice["mean"], dice["smallest"], dice["largest"]) == (0.5, 0.0, 1.0)
    assert dice["definition"].startswith("2 TP / (2 TP + FP + FN)")
    assert "class 'nucleus'" in dice["definition"]
    assert "threshold 0.457 (chosen on validation images)" in dice["definition"]
    assert list(summary["scores"]) == [*PIXELS, "background_dice", "otsu_dice"]
    assert summary["scores"]["background_dice"]["mean"] == 0.0
    assert "nothing but background" in summary["scores"]["background_dice"]["definition"]
    assert summary["scores"]["otsu_dice"]["mean"] == 0.0
    assert "Otsu's threshold" in summary["scores"]["otsu_dice"]["definition"]


def test_each_class_has_a_column_and_the_mean_skips_absent_classes():
    truth = np.array([[0, 1, 1, 2], [0, 0, 2, 2]], np.uint8)
    found = np.array([[0, 1, 0, 2], [0, 0, 2, 2]], np.uint8)
    nothing = truth * 0
    samples = {
        name: Sample(np.zeros((2, 4, 1)), label) for name, label in (("a", truth), ("b", nothing))
    }
    names = ["sky", "car", "tree", "bus"]
    scored = score([found, nothing], samples, names)
    table = scored[0]
    assert table.columns.tolist() == [
        "id",
        *PIXELS,
        *(f"{score}_{name}" for name in names[1:] for score in PIXELS),
        *("background_dice", *DETECTED, "counted_pixels"),
        *(f"{count}_{name}" for name in names[1:] for count in COUNTED),
    ]
    assert table["dice"].tolist() == pytest.approx([(2 / 3 + 1) / 2, NAN], nan_ok=True)
    assert table["iou"].tolist() == pytest.approx([(1 / 2 + 1) / 2, NAN], nan_ok=True)
    assert table["dice_car"].tolist() == pytest.approx([2 / 3, NAN], nan_ok=True)
    assert table["dice_bus"].isna().all()
    assert table["background_dice"].tolist() == pytest.approx([0, NAN], nan_ok=True)
    summary = sum_up(scored, names)
    assert summary["class"] == "mean of 3 classes"
    assert "all classes but 'sky'" in summary["scores"]["dice"]["definition"]
    assert "the most probable class" in summary["scores"]["dice"]["definition"]
    assert "class 'car'" in summary["scores"]["dice_car"]["definition"]
    assert "otsu_dice" not in summary["scores"]


def test_absent_class_has_no_score():
    truth = np.array([[0, 1]], np.uint8)
    samples = {"a": Sample(np.zeros((1, 2, 1)), truth)}
    scores = sum_up(score([truth], samples, ["x", "y", "z"]), ["x", "y", "z"])["scores"]
    assert set(scores) == {*PIXELS, *(f"{name}_y" for name in PIXELS), "background_dice"}


def test_each_mean_has_its_interval_over_groups():
    dices = [0.5, 0.7, 0.6, 0.9, 0.8, 0.4]
    table = of_dice(dices, ids=list("abcdef"), iou=0.5)
    table["recall"] = [0.3, *[np.nan] * 5]
    wanted = ScoreParameters(scores=["pixels"])
    postprocessing = Postprocessing(threshold=0.5, min_object_size=12)
    groups = list("112233")
    alone, grouped = (
        summarise_scores(
            table, {}, Conditions(TWO, postprocessing, wanted, groups=known, seed=3)
        ).model_dump(mode="json")["scores"]
        for known in (None, groups)
    )
    assert alone["dice"]["interval"] == [*confidence_interval(dices, None, 3)]
    assert grouped["dice"]["interval"] == [*confidence_interval(dices, groups, 3)]
    assert alone["iou"]["interval"] == [0.5, 0.5]
    assert alone["recall"]["interval"] is None
    assert "by bootstrap over images" in alone["dice"]["computation"]["interval"]
    assert "over groups" in grouped["dice"]["computation"]["interval"]
    assert "without pieces of fewer than 12 pixels" in grouped["dice"]["definition"]


def test_metrics_of_earlier_versions_are_read():
    text = (ROOT / "tests/data/before/metrics.json").read_text("utf-8")
    metrics = Metrics.model_validate_json(text)
    assert metrics.measured == "nucleus"
    assert 0 < metrics.scores["dice"].mean < 1
    assert metrics.model_dump(mode="json", exclude_unset=True) == json.loads(text)
    assert describe_scores(json.loads(text)) == (
        "Dice 0.954, IoU 0.913, precision 0.972, recall 0.937 of class 'nucleus', "
        "mean over 19 test images (Otsu's threshold: Dice 0.704)"
    )
