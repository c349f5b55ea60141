import numpy as np
import pandas as pd
import pytest

from unetflow.core.errors import InputError
from unetflow.evaluation.promotion import (
    evaluate_challenger,
    find_drift,
    find_new_pairs,
    find_reason,
    keep_test_images,
    promote_first,
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


def scores(dice, **columns):
    return pd.DataFrame({"id": [f"i{n}" for n in range(len(dice))], "dice": dice, **columns})


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
        ("dice", "interval"), [([0.7, 0.625], [0.66, 0.9]), ([0.1], None), ([], [0.66, 0.9])]
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
        assert found.dice.difference == pytest.approx(0.005)
        assert found.decision == "kept"
        assert evaluate(scores(0.5 + noise), champion, margin=0.5).decision == "promoted"

    def test_images_are_matched_by_id(self):
        challenger = scores([0.8, 0.9, 0.7])
        assert evaluate(challenger, challenger.iloc[::-1]).dice.difference == 0

    def test_regression_of_a_class_is_not_offset_by_another_class(self):
        champion = scores([0.5] * 4, dice_car=[0.5] * 4, dice_sign=[0.5, 0.5, np.nan, 0.5])
        challenger = scores([0.6] * 4, dice_car=[0.9] * 4, dice_sign=[0.4, 0.4, np.nan, 0.4])
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
