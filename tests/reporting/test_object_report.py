"""What the evaluation report says about counts of objects and their confidence."""

import numpy as np
import pandas as pd
import pytest

from tests.support import evaluation_page as made
from tests.support.evaluation_page import evaluation, write
from tests.support.report_page import CLASSES, Page, some
from tests.support.score_tables import of_dice
from unetflow.config.evaluation import ScoreParameters
from unetflow.config.model import PlannedModel
from unetflow.evaluation.summary import Conditions, summarise_scores
from unetflow.inference.postprocessing import Postprocessing
from unetflow.instances.confidence import ObjectConfidence
from unetflow.reporting.evaluation_charts import draw_confidence, draw_counts
from unetflow.reporting.evaluation_report import write_evaluation_report

FITTED = ObjectConfidence(intercept=0.0, terms={}, objects=90, matched=60, truth="objects")
JUDGED = pd.DataFrame(
    {"confidence": [0.15, 0.15, 0.85, 0.85, 0.85], "matched": [False, True, True, True, False]}
)


def counted(true, found, classes=CLASSES, fitted=FITTED, judged=JUDGED):
    """Make a report on 20 test images with these true and found objects in turn."""
    samples, table = some(100)
    ids = table.loc[table["split"] == "test", "id"].tolist()
    scores = of_dice(np.linspace(0.7, 0.9, len(ids)), ids=ids)
    scores = scores.assign(**dict.fromkeys(("iou", "precision", "recall"), scores["dice"]))
    scores["true_objects"] = np.resize(true, len(ids))
    scores["found_objects"] = np.resize(found, len(ids))
    postprocessing = Postprocessing(threshold=0.5, confidence=fitted)
    conditions = Conditions(classes, postprocessing, ScoreParameters())
    metrics = summarise_scores(scores, {}, conditions, judged).model_dump(mode="json")
    return samples, evaluation(samples, table, image_scores=scores, metrics=metrics)


def find_bright(image):
    return (image[:, :, 0] > 100).astype(np.uint8)


def words(text):
    return " ".join(text.split())


@pytest.mark.usefixtures("blank_charts")
def test_the_count_stands_beside_the_pixels():
    found = Page(write(*counted([10, 20], [10, 19])))
    assert found.facts["Test objects"] == "290 found, 300 true, count error 3.3 %"
    text = words(found.texts["objects"])
    assert "290 objects of class 'nucleus' are found where there are 300, in 20 test images" in text
    assert "off by 3.3 % image by image, and by -3.3 % in total." in text
    assert found.facts["In an image"] == "-0.5 objects on average, 0.5 without regard to the sign"
    heads, row = found.tables["By number of true objects in an image"]
    assert heads[:3] == ["true objects in an image", "images", "true"]
    assert heads[3:] == ["found", "count error", "95 % interval", "net"]
    assert [*row[:5], row[6]] == ["10 to 20", "20", "300", "290", "3.3 %", "-3.3 %"]
    assert "Expect counts like those of the test images: 290 objects" in found.texts["model"]
    assert not any(level == "wrong" for level, _ in found.findings)


@pytest.mark.usefixtures("blank_charts")
def test_images_with_few_and_with_many_objects_are_told_apart():
    found = Page(write(*counted([1, 5, 20, 40], [1, 5, 18, 30])))
    rows = found.tables["By number of true objects in an image"][1:]
    assert [row[:2] for row in rows] == [["1 to 5", "10"], ["20", "5"], ["40", "5"]]
    assert [row[4] for row in rows] == ["0.0 %", "10.0 %", "25.0 %"]


@pytest.mark.usefixtures("blank_charts")
@pytest.mark.parametrize(("found", "warned"), [([8, 16], False), ([8, 15], True), ([13, 24], True)])
def test_a_warning_is_at_the_top_above_twenty_percent(found, warned):
    page = Page(write(*counted([10, 20], found)))
    level, text = page.findings[0]
    assert (level == "wrong") == warned
    assert ("Objects are counted wrongly" in text) == warned
    assert ("Do not rely on its counts of objects" in page.texts["model"]) == warned
    if warned:
        assert words(page.texts["summary"]).startswith("Fix this Objects are counted wrongly: ")
        assert "set model.instances: both" in words(text)


@pytest.mark.usefixtures("blank_charts")
def test_errors_that_cancel_are_warned_of_with_advice_for_a_network_that_separates():
    samples, judged = counted([10, 20], [14, 16])
    learned = made.PLAN.model_copy(
        update={"model": PlannedModel(base_filters=16, depth=3, instances="both")}
    )
    card = made.card(judged, plan=learned)
    page = Page(write_evaluation_report(judged, card, made.PARAMETERS, samples, find_bright))
    text = words(page.findings[0][1])
    assert "off by 26.7 % image by image, and by +0.0 % in total" in text
    assert "Annotate more images like the worst ones, or train longer." in text


@pytest.mark.usefixtures("blank_charts")
def test_the_confidence_has_its_reliability_curve():
    found = Page(write(*counted([10], [10])))
    text = words(found.texts["objects"])
    assert "Of 5 found objects of the test images, 3 match a true one." in text
    error = (2 * 0.35 + 3 * abs(2 / 3 - 0.85)) / 5
    assert f"Expected calibration error: {error:.3f}." in text
    assert "Brier score: the mean of" in text
    assert found.tables["Found objects by confidence"] == [
        ["confidence", "objects", "mean confidence", "fraction that matches"],
        ["0.1 to 0.2", "2", "0.150", "0.500"],
        ["0.8 to 0.9", "3", "0.850", "0.667"],
    ]


def test_what_was_not_counted_is_said():
    text = words(made.plain().texts["objects"])
    assert "No test image numbers its objects" in text
    assert "The objects have no confidence" in text
    assert "Test objects" not in made.plain().facts
    card = "They do not show whether objects are counted correctly."
    assert card in made.plain().texts["model"]


def test_charts_show_each_image_and_each_bin():
    scores = pd.DataFrame({"true_objects": [3.0, np.nan, 7], "found_objects": [2.0, np.nan, 9]})
    axes = draw_counts(scores).axes[0]
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), [[3, 2], [7, 9]])
    parts = [
        {"objects": 4, "mean_confidence": 0.15, "matched_fraction": 0.25},
        {"objects": 0, "mean_confidence": None, "matched_fraction": None},
        {"objects": 1200, "mean_confidence": 0.95, "matched_fraction": 0.97},
    ]
    axes = draw_confidence({"bins": parts}).axes[0]
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [[0.15, 0.25], [0.95, 0.97]])
    assert [text.get_text() for text in axes.texts] == ["4", "1,200"]
