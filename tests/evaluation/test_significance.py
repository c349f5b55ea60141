from itertools import product

import numpy as np
import pytest
from scipy import stats

from unetflow.evaluation.significance import compare_paired, confidence_interval


def test_interval_of_single_images_is_scipys_of_a_mean():
    scores = np.random.default_rng(1).beta(8, 2, 25)
    expected = stats.bootstrap((scores,), np.mean, rng=np.random.default_rng(3)).confidence_interval
    assert confidence_interval(scores, seed=3) == pytest.approx(tuple(expected), abs=0.005)
    assert confidence_interval(scores, seed=3) == confidence_interval(scores, seed=3)


def test_interval_has_its_nominal_coverage():
    random = np.random.default_rng(0)
    held = 0
    for seed in range(40):
        low, high = confidence_interval(random.beta(6, 2, 30), seed=seed)
        held += low <= 0.75 <= high
    assert 34 <= held <= 40


def test_groups_of_equal_images_count_once():
    of_patients = np.random.default_rng(2).random(12)
    groups = [f"patient {n}" for n in range(12)]
    each = confidence_interval(of_patients, groups, seed=1)
    repeated = confidence_interval(np.repeat(of_patients, 5), np.repeat(groups, 5).tolist(), seed=1)
    assert repeated == pytest.approx(each, abs=1e-3)
    blind = confidence_interval(np.repeat(of_patients, 5), seed=1)
    assert np.diff(blind) < 0.6 * np.diff(each)


def test_mean_is_over_images_even_if_groups_differ_in_size():
    scores, groups = [0.9] * 8 + [0.1, 0.3], ["large"] * 8 + ["small", "other"]
    low, high = confidence_interval(scores, groups)
    assert low < np.mean(scores) < high
    assert high > np.mean([0.9, 0.1, 0.3])


@pytest.mark.parametrize(
    ("scores", "groups"),
    [([], None), ([0.5], None), ([0.1, 0.9], ["a", "a"]), ([0.5, np.nan], None)],
)
def test_one_image_or_one_group_has_no_interval(scores, groups):
    assert confidence_interval(scores, groups) is None


def test_equal_scores_have_an_interval_without_width():
    assert confidence_interval([0.7] * 4) == pytest.approx((0.7, 0.7))
    assert confidence_interval([0.6, 0.8, 0.6, 0.8], list("aabb")) == pytest.approx((0.7, 0.7))


def test_missing_scores_are_left_out():
    scores, groups = [0.1, np.nan, 0.5, 0.9], list("abcd")
    assert confidence_interval(scores, groups) == confidence_interval([0.1, 0.5, 0.9], list("acd"))


def signed_rank_slowly(differences):
    """Try all ways in which the signs could have fallen."""
    kept = [d for d in differences if d]
    ranks = stats.rankdata(np.abs(kept))
    middle = ranks.sum() / 2
    seen = abs(ranks[np.array(kept) > 0].sum() - middle)
    sums = [np.dot(ranks, signs) for signs in product((0, 1), repeat=len(kept))]
    return np.mean([abs(s - middle) >= seen - 1e-9 for s in sums])


@pytest.mark.parametrize(
    "differences",
    [
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        [0.1, -0.2, 0.3, 0.45, 0.5, 0.6, -0.7, 0.9],
        [0.1, 0.1, -0.1, 0.2, 0.2, 0.5, 0.6],
        [0.1, 0.1, -0.1, 0.2, 0.2, 0.5, 0.6, 0.0, 0.0],
    ],
    ids=["all better", "mixed", "ties", "ties and zeros"],
)
def test_signed_rank_equals_an_enumeration_of_all_signs(differences):
    second = np.full(len(differences), 0.3)
    compared = compare_paired(second + differences, second)
    assert compared.p_value == pytest.approx(signed_rank_slowly(differences))
    assert compared.mean_difference == pytest.approx(np.mean(differences))
    assert compared.interval[0] <= compared.mean_difference <= compared.interval[1]
    assert (compared.images, compared.groups) == (len(differences), None)


def test_fewer_than_six_images_that_differ_have_no_p_value():
    better = [0.9, 0.8, 0.7, 0.6, 0.5]
    assert compare_paired(better, [0.1] * 5).p_value is None
    same = compare_paired([*better, *[0.2] * 9], [*better, *[0.2] * 9])
    assert same.p_value is None
    assert same.mean_difference == 0


def test_groups_are_compared_by_their_means():
    random = np.random.default_rng(4)
    of_groups = random.normal(0.02, 0.03, 8)
    differences = np.repeat(of_groups, 6) + np.tile([-0.001, 0.001, 0, 0, 0, 0], 8)
    groups = np.repeat(list("abcdefgh"), 6).tolist()
    compared = compare_paired(0.5 + differences, np.full(48, 0.5), groups)
    assert compared.groups == 8
    assert compared.group_p_value == pytest.approx(signed_rank_slowly(of_groups))
    assert compared.p_value < compared.group_p_value


def test_unpaired_images_are_left_out_and_empty_comparisons_refused():
    assert compare_paired([0.5, np.nan, 0.7], [0.4, 0.2, np.nan]).images == 1
    with pytest.raises(ValueError, match="do not match"):
        compare_paired([0.5], [0.5, 0.6])
    with pytest.raises(ValueError, match="no image has a score"):
        compare_paired([np.nan], [0.5])
