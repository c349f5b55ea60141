"""What is reported of sets in which many images hold nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tests.support.score_tables import AREA, of_dice
from unetflow.config.evaluation import ScoreParameters
from unetflow.core.errors import InputError
from unetflow.data.samples import Sample
from unetflow.evaluation.charged import PixelCounts, YardstickComparison
from unetflow.evaluation.comparison import compare_charged, compare_tables
from unetflow.evaluation.headline import describe_scores, describe_verdict
from unetflow.evaluation.scoring import score_images
from unetflow.evaluation.summary import Conditions, summarise_scores
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
from unetflow.metrics.detection import image_roc_auc
from unetflow.metrics.pixels import ChargedDice

TWO = ["background", "defect"]


def summarise(table, classes=TWO):
    table = table.assign(**dict.fromkeys(("iou", "precision", "recall"), table["dice"]))
    wanted = ScoreParameters(scores=["pixels"])
    conditions = Conditions(classes, Postprocessing(threshold=0.5), wanted)
    return summarise_scores(table, {}, conditions).model_dump(mode="json")


def defects(alarms):
    """Make 30 tiles whose defects are found with a mean Dice of 0.82, and 70 empty ones."""
    table = of_dice([0.82] * 30, alarms)
    small = table.index[:15]  # larger defects are found worse, so that the pooled Dice is lower
    for column in ("true_pixels", "found_pixels"):
        table.loc[small, column] = AREA // 5
    table.loc[small, "correct_pixels"] = AREA // 5 * 832 // 1000
    table.loc[15:29, "correct_pixels"] = AREA * 808 // 1000
    pixels = table["true_pixels"] + table["found_pixels"]
    table["dice"] = (2 * table["correct_pixels"] / pixels).where(table["true_pixels"] > 0)
    return table


def test_empty_tiles_do_not_lift_the_headline():
    alarms = [4, 8, 10] + [0] * 67
    metrics = summarise(defects(alarms))
    assert metrics["scores"]["dice"]["mean"] == pytest.approx(0.82)
    assert metrics["scores"]["dice"]["images"] == 30
    assert metrics["pooled"]["pooled_dice"]["value"] == pytest.approx(0.81, abs=0.006)
    assert (metrics["empty_images"], metrics["false_alarms"]) == (70, 3)
    line = describe_scores(metrics)
    assert line.startswith(
        "Dice 0.820, IoU 0.820, precision 0.820, recall 0.820 of class 'defect', mean over the 30 "
        "of 100 test images that hold it; 3 of 70 empty images got a false alarm; Dice charged for "
        "false alarms 0.8"
    )
    assert "(finding everything: 0.00" in line
    assert "0.947" not in line
    for number in (0, 7, 70, 700):
        more = summarise(defects([0] * number))
        assert more["scores"]["dice"]["mean"] == metrics["scores"]["dice"]["mean"]
        assert more["pooled"]["charged_dice"]["value"] == pytest.approx(0.82)


def test_finding_nothing_reaches_no_number_and_is_said_first():
    table = of_dice([0.0] * 30, [0] * 70)
    metrics = summarise(table.assign(found_pixels=0, detected=table["detected"] * 0))
    shown = {
        name: metrics["scores"][name]["mean"] for name in ("dice", "iou", "precision", "recall")
    }
    assert set(shown.values()) == {0}
    assert not metrics["beats_yardsticks"]
    assert describe_scores(metrics).startswith("No better than finding everything: Dice 0.000,")


def test_each_score_of_a_set_with_empties_has_its_line_and_definition():
    metrics = summarise(defects([4, 8, 10] + [0] * 67))
    scores, pooled = metrics["scores"], metrics["pooled"]
    assert scores["image_sensitivity"]["mean"] == 1
    assert scores["image_specificity"]["mean"] == pytest.approx(67 / 70)
    assert scores["image_specificity"]["images"] == 70
    assert scores["image_specificity"]["interval"][0] < 67 / 70
    assert 0.9 < pooled["image_roc_auc"]["value"] < 1
    parts = (scores["dice"], scores["image_sensitivity"], *pooled.values())
    assert "left out in an image whose truth lacks the class" in parts[0]["definition"]
    assert len({part["definition"] for part in parts}) == len(parts)
    assert "some foreground is found" in parts[1]["definition"]
    assert "all images together" in pooled["pooled_dice"]["definition"]
    assert "min(1, FP / A)" in pooled["charged_dice"]["definition"]


def test_without_empty_images_there_is_no_detection_by_image_and_the_line_is_short():
    otsu = {"otsu_found_pixels": AREA, "otsu_correct_pixels": AREA * 7 // 10, "otsu_dice": 0.7}
    metrics = summarise(of_dice([0.8, 0.9], **otsu))
    assert set(metrics["pooled"]) == {"pooled_dice", "charged_dice"}
    assert not any(name.startswith("image_") for name in metrics["scores"])
    assert describe_scores(metrics) == (
        "Dice 0.850, IoU 0.850, precision 0.850, recall 0.850 of class 'defect', "
        "mean over 2 test images (Otsu's threshold: Dice 0.700)"
    )
    worse = summarise(of_dice([0.6, 0.8], **otsu))
    assert describe_verdict(worse) == "No better than Otsu's threshold"
    assert describe_scores(worse).startswith("No better than Otsu's threshold: Dice 0.700, IoU")


def test_a_set_without_foreground_has_no_dice_but_false_alarms():
    metrics = summarise(of_dice([], [0, 5, 0]))
    assert "dice" not in metrics["scores"]
    assert (metrics["yardsticks"], metrics["beats_yardsticks"]) == ({}, None)
    assert describe_scores(metrics) == (
        "No Dice, since none of the 3 test images holds class 'defect'; "
        "1 of 3 empty images got a false alarm"
    )


def test_finding_everything_is_the_strongest_where_most_is_foreground():
    table = of_dice([0.85] * 4).assign(counted_pixels=AREA * 10 // 8)
    compared = YardstickComparison.of(table)
    assert compared.strongest == "finding everything"
    assert compared.yardsticks["finding everything"] == pytest.approx(2 * 0.8 / 1.8)
    assert not compared.is_better


def test_tables_of_earlier_versions_are_refused_with_what_to_do():
    with pytest.raises(InputError, match="Run the evaluation again"):
        PixelCounts.of(of_dice([0.5])[["id", "dice"]])


LABELS = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).choice([0, 0, 0, 1, 2, 255], (3, 4)).astype(np.uint8)
)


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=5))
def test_counts_in_the_table_give_the_charged_and_the_pooled_dice_of_the_labels(pairs):
    classes = ["sky", "car", "tree"]
    pairs = [
        (truth * (n % 2), np.where(found == 255, 0, found))
        for n, (truth, found) in enumerate(pairs)
    ]
    postprocessing = Postprocessing(threshold=None)
    answers = iter([np.eye(3, dtype=np.float32)[found] for _, found in pairs])
    samples = {str(n): Sample(np.zeros((3, 4, 1)), truth) for n, (truth, _) in enumerate(pairs)}
    table, *_ = score_images(
        lambda image: postprocessing.segment(NetworkOutputs(next(answers), None)),
        samples,
        classes,
        ScoreParameters(scores=["pixels"]),
        objects_of=lambda sample_id: None,
        otsu_bright=None,
    )
    counts, charged = PixelCounts.of(table), ChargedDice()
    for truth, found in pairs:
        charged.add_label(truth, found, 3)
    assert counts.charged_dice == pytest.approx(charged.value, nan_ok=True)
    sums = counts.dice.sum(axis=0) / (counts.held.sum(axis=0) + counts.charges.sum(axis=0))
    if counts.classes:
        assert sums.mean() == pytest.approx(charged.value)
        assert counts.mean_credit(range(len(pairs))) == pytest.approx(charged.value)
    for name, pooled in zip(counts.classes, counts.pooled_dice, strict=True):
        index = classes.index(name)
        there = [(t[t != 255] == index, f[t != 255] == index) for t, f in pairs]
        both = sum((t & f).sum() for t, f in there)
        assert pooled == pytest.approx(2 * both / sum(t.sum() + f.sum() for t, f in there))


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2))
def test_auc_by_image_is_that_of_scikit_learn(pairs):
    scores, holds = (np.array(column) for column in zip(*pairs, strict=True))
    if holds.any() and not holds.all():
        assert image_roc_auc(scores, holds) == pytest.approx(roc_auc_score(holds, scores))


def test_false_alarms_widen_the_difference_and_its_interval_holds_it():
    quiet, loud = (PixelCounts.of(defects(a)) for a in ([0] * 70, [100] * 35 + [0] * 35))
    compared = compare_charged(quiet, loud, None, 0)
    assert compared.images == 100
    assert compared.mean_difference == pytest.approx(quiet.charged_dice - loud.charged_dice)
    low, high = compared.interval
    assert 0.2 < low < compared.mean_difference < high < 0.7
    assert compared.p_value < 1e-6
    same = compare_charged(quiet, quiet, ["a", "b"] * 50, 0)
    assert (same.mean_difference, same.interval, same.groups) == (0, (0, 0), 2)


def test_without_empty_images_the_comparison_is_that_of_the_dice():
    one, other = of_dice([0.5, 0.7, 0.9]), of_dice([0.4, 0.7, 0.7])
    name, (test,) = compare_tables([one, other])
    assert name == "mean Dice"
    assert (name, test) == (
        "mean Dice",
        compare_tables([t[["id", "dice"]] for t in (one, other)])[1][0],
    )
    assert compare_tables([defects([5]), defects([0])])[0] == "Dice charged for false alarms"


def test_no_foreground_has_no_comparison():
    empty = PixelCounts.of(of_dice([], [1, 2]))
    with pytest.raises(ValueError, match="no image holds foreground"):
        compare_charged(empty, empty)
