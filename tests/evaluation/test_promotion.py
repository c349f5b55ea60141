import json

import numpy as np
import pandas as pd
import pytest

from tests.support import score_tables as tables
from unetflow.core.errors import InputError
from unetflow.evaluation.promotion import (
    describe_difference,
    evaluate_challenger,
    find_drift,
    find_new_pairs,
    find_reason,
    keep_test_images,
    promote_first,
    read_interval,
)

BEFORE = pd.DataFrame(
    {
        "id": ["a", "b", "c"],
        "image_file": ["a.png", "b.png", "c.png"],
        "image_sha256": ["1", "2", "3"],
        "mask_sha256": ["1m", "2m", "3m"],
        "pixel_digest": ["p1", "p2", "p3"],
        "split": ["train", "validation", "test"],
    }
)


scores = tables.of_dice


def of_classes(**dice):
    """Make the scores of images that hold classes, by the Dice of each; NaN where one is absent."""
    each = {name: tables.of_dice(np.nan_to_num(values)) for name, values in dice.items()}
    first = next(iter(each.values()))
    table = first[["id", "detected", "false_alarm", "foreground_score", "counted_pixels"]].copy()
    for name, values in dice.items():
        table[f"dice_{name}"] = values
        for column in ("true_pixels", "found_pixels", "correct_pixels"):
            table[f"{column}_{name}"] = each[name][column].where(~np.isnan(values), 0)
    return table.assign(dice=table[[f"dice_{name}" for name in dice]].mean(axis=1))


def evaluate(challenger, champion, groups=None, **changes):
    allowed = {"margin": 0.01, "max_regression": 0.05, "seed": 0}
    groups = groups or challenger["id"].tolist()
    return evaluate_challenger(challenger, champion, groups, **allowed | changes)


class TestNewPairs:
    def test_are_new_images_and_corrected_masks_but_not_renamed_files(self):
        now = pd.DataFrame(
            {
                "id": ["a2", "b", "c", "d"],
                "image_sha256": ["1", "2", "3", "4"],
                "mask_sha256": ["1m", "corrected", "3m", "4m"],
            }
        )
        assert find_new_pairs(now, BEFORE)["id"].tolist() == ["b", "d"]

    def test_are_a_reason_if_there_are_enough(self):
        limits = {"min_new_labelled": 3, "max_age_days": 10.0}
        assert find_reason(2, 10.0, **limits) is None
        assert find_reason(3, 0.0, **limits) == "3 pairs are new or changed, and 3 are enough"
        assert find_reason(0, 11.2, **limits) == "the champion is 11 days old, and 10 are allowed"
        assert find_reason(99, 999.0, min_new_labelled=None, max_age_days=None) is None


class TestDrift:
    def test_is_a_mean_below_the_interval(self):
        reason = find_drift([0.7, 0.6], [0.66, 0.9])
        assert reason is not None
        assert "on 2 new images is 0.650, below the interval from 0.660 to 0.900" in reason

    @pytest.mark.parametrize(
        ("dice", "interval"),
        [([0.7, 0.625], [0.66, 0.9]), ([0.1], None), ([], [0.66, 0.9]), ([np.nan], [0.6, 0.9])],
    )
    def test_is_nothing_else(self, dice, interval):
        assert find_drift(dice, interval) is None


class TestTestImages:
    def test_may_remain_or_be_removed(self):
        keep_test_images(BEFORE, BEFORE)
        keep_test_images(BEFORE[BEFORE["split"] != "test"], BEFORE)

    @pytest.mark.parametrize("split", ["train", "validation"])
    def test_are_refused_in_training_and_validation(self, split):
        copy = BEFORE.iloc[[2]].assign(id="d", image_file="d.png", split=split)
        with pytest.raises(InputError, match=r"champion's test image c\.png") as caught:
            keep_test_images(pd.concat([BEFORE, copy]), BEFORE)
        assert caught.value.where == "d.png"

    def test_that_changed_split_are_counted(self):
        before = BEFORE.assign(split="test")
        with pytest.raises(InputError, match="as do 2 more"):
            keep_test_images(BEFORE.assign(split="train"), before)


class TestChallenger:
    def test_same_scores_are_not_worse(self):
        same = scores([0.8, 0.9, 0.7])
        found = evaluate(same, same)
        assert found.decision == "promoted"
        assert found.dice.interval == (0, 0)

    def test_clearly_better_is_promoted_and_clearly_worse_is_not(self):
        random = np.random.default_rng(0)
        low = random.uniform(0.5, 0.7, 30)
        better, worse = scores(low + random.uniform(0.05, 0.1, 30)), scores(low)
        assert evaluate(better, worse).decision == "promoted"
        found = evaluate(worse, better)
        assert found.decision == "kept"
        assert "may be worse by more than 0.01" in found.reason

    def test_uncertain_improvement_is_not_promoted(self):
        random = np.random.default_rng(0)
        noise = random.normal(0.005, 0.2, 20)
        noise += 0.005 - noise.mean()
        champion = scores(np.full(20, 0.5))
        found = evaluate(scores(0.5 + noise), champion)
        assert found.dice.difference == pytest.approx(0.005, abs=1e-5)
        assert found.decision == "kept"
        assert evaluate(scores(0.5 + noise), champion, margin=0.5).decision == "promoted"

    def test_images_are_matched_by_id(self):
        challenger = scores([0.8, 0.9, 0.7])
        assert evaluate(challenger, challenger.iloc[::-1]).dice.difference == 0

    def test_regression_of_a_class_is_not_offset_by_another_class(self):
        champion = of_classes(car=[0.5] * 4, sign=[0.5, 0.5, np.nan, 0.5])
        challenger = of_classes(car=[0.9] * 4, sign=[0.4, 0.4, np.nan, 0.4])
        found = evaluate(challenger, champion)
        assert found.decision == "kept"
        assert found.regressions == {"class sign": pytest.approx(-0.1)}
        assert "class sign loses 0.100, and 0.05 is allowed" in found.reason
        assert evaluate(challenger, champion, max_regression=0.2).decision == "promoted"

    def test_regression_of_a_group_is_not_offset_by_another_group(self):
        champion, groups = scores([0.5] * 6), ["x", "x", "y", "y", "y", "z"]
        challenger = scores([0.4, 0.4, 0.9, 0.9, 0.9, 0.1])
        found = evaluate(challenger, champion, groups, margin=0.9)
        assert found.regressions == {"group x": pytest.approx(-0.1)}  # z is a single image

    def test_single_group_is_compared_by_images(self):
        champion, challenger = scores([0.5, 0.6, 0.7]), scores([0.6, 0.7, 0.9])
        found = evaluate(challenger, champion, ["film"] * 3)
        assert found.decision == "promoted"

    def test_one_image_is_not_sufficient(self):
        found = evaluate(scores([0.9]), scores([0.1]))
        assert found.decision == "kept"
        assert "one test image is not sufficient" in found.reason


def test_images_that_differ_most_come_first():
    challenger, champion = scores([0.5, 0.9, 0.1]), scores([0.5, 0.8, 0.9])
    ranked = evaluate(challenger, champion).most_different
    assert [row["id"] for row in ranked] == ["i2", "i1", "i0"]
    assert ranked[0] == {"id": "i2", "challenger": 0.1, "champion": 0.9}


def test_false_alarms_are_among_the_differences_and_quiet_empty_images_are_not():
    challenger, champion = scores([0.5, 0.9], [0, 0, 80]), scores([0.5, 0.8], [0, 0, 10])
    ranked = evaluate(challenger, champion).most_different
    assert ranked[0] == {
        "id": "i4",
        "challenger": None,
        "champion": None,
        "challenger_found": 800_000,
        "champion_found": 100_000,
    }
    assert [row["id"] for row in ranked] == ["i4", "i1", "i0"]
    assert (
        describe_difference(ranked[0], compared=True)
        == "i4: empty, finds 100,000 -> 800,000 pixels"
    )
    assert describe_difference(ranked[1], compared=False) == "i1: Dice 0.900"


class TestEmptyImages:
    def test_false_alarms_decide_where_the_defects_are_found_as_well(self):
        found = [0.8, 0.82, 0.84] * 10
        quiet, loud = scores(found, [0] * 70), scores(found, [100] * 35 + [0] * 35)
        assert evaluate(quiet, loud).decision == "promoted"
        refused = evaluate(loud, quiet)
        assert refused.decision == "kept"
        assert refused.dice.champion == pytest.approx(0.82)
        assert refused.dice.challenger == pytest.approx(30 * 0.82 / (30 + 35))

    def test_a_group_of_empty_images_may_not_get_false_alarms(self):
        champion, groups = scores([0.5] * 4, [0, 0]), ["x"] * 4 + ["y"] * 2
        found = evaluate(scores([0.9] * 4, [8, 8]), champion, groups, margin=0.9)
        assert found.regressions == {"group y": pytest.approx(-0.08)}

    def test_a_model_that_finds_nothing_is_not_promoted_over_another_one(self):
        nothing = scores([0.0] * 30, [0] * 70)
        found = evaluate(nothing, nothing)
        assert found.decision == "kept"
        assert "the model is no better than" in found.reason

    def test_without_foreground_nothing_is_promoted(self):
        quiet = evaluate(scores([], [0, 0]), scores([], [0, 0]))
        assert [row["challenger_found"] for row in quiet.most_different] == [0, 0]
        empty = scores([], [0, 3])
        for found in (evaluate(empty, empty), promote_first(empty)):
            assert found.decision == "kept"
            assert "no test image holds foreground" in found.reason
            assert found.dice.challenger is None
            json.dumps(found.model_dump(), allow_nan=False)

    def test_of_an_earlier_champion_make_its_interval_unknown(self):
        tested = pd.DataFrame({"split": ["test", "train"], "foreground": [0.2, 0.0]})
        before = {"scores": {"dice": {"interval": [0.7, 0.8]}}}
        assert read_interval(before, tested) == [0.7, 0.8]
        empty = tested.assign(foreground=0.0)
        assert read_interval(before, empty) is None
        assert read_interval(before | {"images_with_foreground": 5}, empty) == [0.7, 0.8]
        assert read_interval({"scores": {}}, tested) is None


class TestYardsticks:
    def test_first_model_that_is_no_better_than_one_is_kept_out(self):
        table = scores(
            [0.3, 0.5], otsu_found_pixels=tables.AREA, otsu_correct_pixels=tables.AREA // 2
        )
        found = promote_first(table)
        assert found.decision == "kept"
        assert found.reason == (
            "the model is no better than Otsu's threshold: Dice 0.400, "
            "and 0.500 by Otsu's threshold"
        )

    def test_are_to_be_beaten_also_by_a_model_that_is_better_than_the_champion(self):
        otsu = {"otsu_found_pixels": tables.AREA, "otsu_correct_pixels": tables.AREA * 9 // 10}
        found = evaluate(scores([0.8] * 9, **otsu), scores([0.2] * 9))
        assert found.decision == "kept"
        assert found.reason.startswith("the model is no better than Otsu's threshold: Dice 0.800")
        assert found.dice.difference == pytest.approx(0.6)


def test_first_model_is_promoted_and_shown_on_its_worst_images():
    assert promote_first(scores([0.5, 0.25])).model_dump(by_alias=True, exclude_unset=True) == {
        "decision": "promoted",
        "reason": "it is the first model",
        "dice": {"challenger": 0.375},
        "falls": {},
        "most_different": [
            {"id": "i1", "challenger": 0.25},
            {"id": "i0", "challenger": 0.5},
        ],
    }
