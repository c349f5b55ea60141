import numpy as np
import pytest
import yaml
from skimage.filters import threshold_otsu

from tests.imaging.helpers import random_pixels
from unetflow.imaging.baselines import segment_by_otsu
from unetflow.imaging.evaluation import choose_otsu_side, score_images, summarise_scores
from unetflow.imaging.samples import Sample

TWO = ["background", "nucleus"]
HALF = np.array([[0, 0, 1, 1]] * 4, np.uint8)


def sample(left, right, label=HALF):
    return Sample(np.where(HALF == 1, right, left)[:, :, None].astype(np.uint8), label)


def test_otsu_looks_at_the_pixels_that_count_alone():
    image = np.array([[[0], [100], [100]], [[0], [100], [200]]], np.uint8)
    inside = image[:, :, 0] > 0
    found = segment_by_otsu(image, bright=True, inside=inside)
    np.testing.assert_array_equal(found, image[:, :, 0] == 200)
    outside = segment_by_otsu(image, bright=True, inside=image[:, :, 0] == 0)
    assert not outside.any()


@pytest.mark.parametrize("bright", [True, False])
def test_otsu_cuts_the_mean_of_the_channels(bright):
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


def test_bright_side_is_chosen_when_both_are_equal():
    assert choose_otsu_side({"a": sample(9, 0), "b": sample(0, 9)}) is True


def test_each_image_has_its_own_row_of_scores():
    ignored = HALF.copy()
    ignored[:, 3] = 255
    samples = {"a": sample(10, 200), "b": sample(200, 10, ignored), "c": sample(5, 5, HALF * 0)}

    def segment(image):
        found = np.zeros(image.shape[:2], np.uint8)
        found[:2, 2:] = 1
        found[0, 0] = 2
        return found

    table = score_images(segment, samples, TWO, otsu_bright=True)
    assert table.columns.tolist() == ["id", "dice", "iou", "precision", "recall", "otsu_dice"]
    assert table["id"].tolist() == ["a", "b", "c"]
    assert table["dice"].tolist() == pytest.approx([2 * 4 / (4 + 8), 2 * 2 / (2 + 4), 0])
    assert table["iou"].tolist() == pytest.approx([0.5, 0.5, 0])
    assert table["precision"].tolist() == [1, 1, 0]
    assert table["recall"].tolist() == [0.5, 0.5, 1]
    assert table["otsu_dice"].tolist() == [1, 0, 1]


def test_summary_holds_plain_numbers_with_their_definitions():
    samples = {"a": sample(10, 200), "b": sample(0, 9)}
    first = iter([HALF, HALF * 0])
    table = score_images(lambda image: next(first), samples, TWO, otsu_bright=False)
    summary = summarise_scores(table, TWO, 0.4567)
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
    assert list(summary["scores"]) == ["dice", "iou", "precision", "recall", "otsu_dice"]
    assert summary["scores"]["otsu_dice"]["mean"] == 0.0
    assert "Otsu's threshold" in summary["scores"]["otsu_dice"]["definition"]


def test_of_many_classes_each_has_a_column_and_the_mean_leaves_absent_ones_out():
    truth = np.array([[0, 1, 1, 2], [0, 0, 2, 2]], np.uint8)
    found = np.array([[0, 1, 0, 2], [0, 0, 2, 2]], np.uint8)
    nothing = truth * 0
    samples = {
        name: Sample(np.zeros((2, 4, 1)), label) for name, label in (("a", truth), ("b", nothing))
    }
    names = ["sky", "car", "tree", "bus"]
    first = iter([found, nothing])
    table = score_images(lambda image: next(first), samples, names, otsu_bright=None)
    assert table.columns.tolist() == [
        "id",
        "dice",
        "iou",
        "precision",
        "recall",
        "dice_car",
        "dice_tree",
        "dice_bus",
    ]
    assert table["dice"].tolist() == pytest.approx([(2 / 3 + 1) / 2, 1])
    assert table["iou"].tolist() == pytest.approx([(1 / 2 + 1) / 2, 1])
    assert table["dice_car"].tolist() == pytest.approx([2 / 3, 1])
    assert np.isnan(table["dice_bus"][0])
    summary = summarise_scores(table, names, None)
    assert summary["class"] == "mean of 3 classes"
    assert "all classes but 'sky'" in summary["scores"]["dice"]["definition"]
    assert "the most probable class" in summary["scores"]["dice"]["definition"]
    assert "class 'car'" in summary["scores"]["dice_car"]["definition"]
    assert "otsu_dice" not in summary["scores"]


def test_a_class_that_no_test_image_has_has_no_score():
    truth = np.array([[0, 1]], np.uint8)
    samples = {"a": Sample(np.zeros((1, 2, 1)), truth)}
    table = score_images(lambda image: truth, samples, ["x", "y", "z"], otsu_bright=None)
    scores = summarise_scores(table, ["x", "y", "z"], None)["scores"]
    assert set(scores) == {"dice", "iou", "precision", "recall", "dice_y"}
