"""The count of objects beside the true one: errors, intervals, density, and the warning."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.support.drawn_objects import LABELS, draw
from tests.support.score_tables import of_dice
from unetflow.config.evaluation import ScoreParameters
from unetflow.evaluation.charged import is_count
from unetflow.evaluation.fold_summary import summarise_folds
from unetflow.evaluation.headline import describe_count, describe_scores, warn_of_counts
from unetflow.evaluation.metrics_file import Metrics
from unetflow.evaluation.object_counts import bin_evenly, count_objects, summarise_counts
from unetflow.evaluation.significance import ratio_interval
from unetflow.evaluation.summary import Conditions, summarise_scores
from unetflow.inference.postprocessing import Postprocessing
from unetflow.metrics.regions import score_instances
from unetflow.metrics.shared import ClassMasks
from unetflow.tracking.metric_values import list_values

TWO, THREE = ["background", "cell"], ["background", "cell", "debris"]


def counted(true, found, **columns):
    """Make the scores of images with true and found objects."""
    table = of_dice([0.8] * len(true), **columns)
    return table.assign(true_objects=true, found_objects=found, object_f1_iou50=0.75)


def summarise(table, classes=TWO, **conditions):
    postprocessing = Postprocessing(threshold=0.5 if len(classes) == 2 else None)
    wanted = Conditions(classes, postprocessing, ScoreParameters(), **conditions)
    return summarise_scores(table, {}, wanted).model_dump(mode="json")


def test_objects_are_counted_by_class_without_ignored_pixels():
    truth = draw("11.22", "11.2#", ".....")
    numbers = draw("11.23", "11.39", "....8").astype(np.uint16)
    label = draw("1..2.", "1.122", ".1..1")
    row = count_objects(truth, label, THREE, numbers, None)
    assert row == {
        "true_objects_cell": 1,
        "found_objects_cell": 2,
        "true_objects_debris": 2,
        "found_objects_debris": 1,
    }
    objects = draw("1..2.", "1.323", ".3..4").astype(np.uint32)
    assert count_objects(truth, label, THREE, numbers, objects)["found_objects_cell"] == 3
    one_class = np.where(truth == 2, 1, truth)
    two = count_objects(one_class, np.minimum(label, 1), TWO, numbers, None)
    assert two == {"true_objects": 3, "found_objects": 1}


@given(LABELS, st.data())
def test_counts_agree_with_the_count_error_of_the_scores(truth, data):
    shape = truth.shape
    found = data.draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2])))
    numbers = data.draw(hnp.arrays(np.uint32, shape, elements=st.sampled_from([0, 1, 2, 7])))
    own = data.draw(hnp.arrays(np.uint32, shape, elements=st.sampled_from([0, 3, 4])))
    for objects in (None, own):
        row = count_objects(truth, found, THREE, numbers, objects)
        for index, name in enumerate(THREE[1:], start=1):
            scores = score_instances(ClassMasks.of(truth, found, index), numbers, objects)
            error = row[f"found_objects_{name}"] - row[f"true_objects_{name}"]
            assert error == scores["object_count_error"]


def test_errors_of_single_images_do_not_cancel():
    counts, by_class = summarise_counts(counted([10, 20, 0], [14, 15, 1]))
    assert by_class == {}
    assert (counts.images, counts.true, counts.found) == (3, 30, 30)
    assert counts.error == pytest.approx((4 + 5 + 1) / 30)
    assert counts.net_error == 0
    assert (counts.mean_error, counts.mean_absolute_error) == (0, pytest.approx(10 / 3))
    assert "do not make up for too few" in counts.definition


def test_errors_of_classes_do_not_cancel_either():
    table = of_dice([0.8, 0.9]).assign(
        true_objects_cell=[5, 4],
        found_objects_cell=[6, 4],
        true_objects_debris=[5, 2],
        found_objects_debris=[4, 2],
    )
    counts, by_class = summarise_counts(table)
    assert (counts.error, counts.net_error) == (pytest.approx(2 / 16), 0)
    assert by_class["cell"].error == pytest.approx(1 / 9)
    assert by_class["debris"].net_error == pytest.approx(-1 / 7)
    assert "images and classes" in counts.definition


def test_images_without_numbers_are_left_out():
    table = counted([10.0, np.nan, 20.0], [11.0, np.nan, 20.0])
    counts, _ = summarise_counts(table, ["a", "b", "a"])
    assert (counts.images, counts.true, counts.found) == (2, 30, 31)
    assert counts.interval is None  # one group
    nothing = table.assign(true_objects=np.nan, found_objects=np.nan)
    assert summarise_counts(nothing) == (None, {})
    assert summarise_counts(of_dice([0.8])) == (None, {})


def test_without_true_objects_there_is_no_relative_error():
    counts, _ = summarise_counts(counted([0, 0], [3, 0]))
    assert (counts.error, counts.net_error, counts.interval) == (None, None, None)
    assert (counts.mean_error, counts.found) == (1.5, 3)
    metrics = summarise(counted([0, 0], [3, 0]))
    assert describe_scores(metrics).endswith("; objects: 3 found where there are none")
    assert len(warn_of_counts(metrics)) == 1
    assert warn_of_counts(summarise(counted([0, 0], [0, 0]))) == []


def test_errors_are_reported_by_density():
    true = [1, 2, 3, 4, 10, 20, 30, 40]
    counts, _ = summarise_counts(counted(true, [1, 2, 3, 5, 10, 15, 15, 30]))
    low, high = counts.by_density
    assert (low.low, low.high, low.images, low.true, low.found) == (1, 4, 4, 10, 11)
    assert (low.error, low.net_error) == (pytest.approx(1 / 10), pytest.approx(1 / 10))
    assert (high.low, high.high, high.error) == (10, 40, pytest.approx(30 / 100))
    assert high.interval[0] < high.error < high.interval[1]


def test_bins_hold_about_equal_numbers_and_equal_values_stay_together():
    assert bin_evenly(pd.Series([5, 5, 5])).tolist() == [0, 0, 0]
    assert bin_evenly(pd.Series(range(8))).tolist() == [0] * 4 + [1] * 4
    assert np.bincount(bin_evenly(pd.Series(range(100)))).tolist() == [20] * 5
    tied = bin_evenly(pd.Series([0] * 30 + [7, 8, 9, 10]))
    assert len(set(tied[:30])) == 1


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_are_those_of_a_plain_bootstrap(grouped):
    random = np.random.default_rng(0)
    true = random.integers(5, 60, 60)
    errors = random.poisson(0.1 * true)
    groups = (np.arange(60) // 3).tolist() if grouped else None
    low, high = ratio_interval(errors, true, groups, seed=1)
    parts = np.array([(errors[g].sum(), true[g].sum()) for g in np.split(np.arange(60), 20)])
    parts = parts if grouped else np.column_stack([errors, true])
    drawn = parts[random.integers(0, len(parts), (20000, len(parts)))].sum(axis=1)
    plain = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    assert (low, high) == (pytest.approx(plain[0], abs=0.01), pytest.approx(plain[1], abs=0.01))
    assert high - low > 0.02


def test_intervals_of_what_does_not_vary_and_of_sparse_images():
    assert ratio_interval([1, 2, 3], [10, 20, 30]) == (0.1, 0.1)
    assert ratio_interval([1], [10]) is None
    assert ratio_interval([1, 2], [0, 0]) is None
    low, high = ratio_interval([1, 0, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0])
    assert 0 <= low <= 0.2 <= high <= 1


@pytest.mark.parametrize(("found", "warned"), [([8, 8], False), ([8, 7], True), ([12, 13], True)])
def test_a_count_error_above_twenty_percent_is_warned_of(found, warned):
    metrics = summarise(counted([10, 10], found))
    assert bool(warn_of_counts(metrics)) == warned


def test_cancelling_errors_are_warned_of():
    metrics = summarise(counted([1000, 770], [600, 1170]))
    (warning,) = warn_of_counts(metrics)
    assert warning == (
        "1,770 objects of class 'cell' are found where there are 1,770, in 2 test images: the "
        "count is off by 45.2 % image by image, and by +0.0 % in total"
    )


def test_one_of_several_classes_is_warned_of():
    table = of_dice([0.8, 0.9]).assign(
        true_objects_cell=[50, 40],
        found_objects_cell=[50, 41],
        true_objects_debris=[2, 2],
        found_objects_debris=[0, 2],
    )
    table = table.rename(columns={c: f"{c}_cell" for c in table if c.endswith("_pixels")})
    table = table.rename(columns={"counted_pixels_cell": "counted_pixels"})
    metrics = summarise(table, THREE)
    (warning,) = warn_of_counts(metrics)
    assert warning.startswith("2 objects of class 'debris' are found where there are 4")
    assert describe_count(metrics).startswith("93 objects are found where there are 94")


def test_the_headline_has_the_count_where_objects_are_numbered():
    metrics = summarise(counted([20, 30], [21, 29]))
    assert describe_scores(metrics).endswith("; objects: F1 0.750, count off by 4.0 %")
    assert "objects" not in describe_scores(summarise(of_dice([0.8])))
    with_half = summarise(counted([20.0, np.nan], [21.0, np.nan]))
    assert "in 1 of 2 test images" in describe_count(with_half)


def test_metrics_keep_the_counts_and_mlflow_gets_them():
    metrics = summarise(counted([20, 30, 25], [21, 29, 25]), groups=list("aab"))
    assert Metrics.model_validate_json(json.dumps(metrics)).model_dump(mode="json") == metrics
    assert "groups of images" in metrics["objects"]["definition"]
    assert set(metrics["scores"]) == {"dice", "object_f1_iou50"}  # no counts among the scores
    values = list_values(metrics, "test")
    assert (values["test_true_objects"], values["test_found_objects"]) == (75, 75)
    assert values["test_count_error"] == pytest.approx(2 / 75)
    assert values["test_net_count_error"] == 0
    assert "test_confidence_calibration_error" not in values
    assert not any("objects" in name for name in list_values(summarise(of_dice([0.8])), "test"))


def test_folds_are_counted_together():
    scores = counted([20, 30], [21, 27]).assign(fold=[0, 1], threshold=0.5)
    summary = summarise_folds(scores, TWO, ["a", "b"])
    assert summary["objects"]["error"] == pytest.approx(4 / 50)
    assert describe_scores(summary).endswith("; objects: F1 0.750, count off by 8.0 %")
    assert "in 2 images" in describe_count(summary)
    plain = summarise_folds(scores.drop(columns=["true_objects", "found_objects"]), TWO)
    assert plain["objects"] is None
    assert json.loads(json.dumps(summary)) == summary


def test_counts_of_objects_are_no_scores():
    assert all(is_count(name) for name in ("true_objects", "found_objects_cell"))
    assert not is_count("object_count_error")
