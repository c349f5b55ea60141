from collections import Counter
from itertools import groupby

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.split_tables import (
    GROUP_BY_LETTER,
    SHARES,
    make_table,
    names,
    number_of,
    rule,
    splits_of,
)
from unetflow.core.errors import InputError
from unetflow.core.types import SPLITS
from unetflow.data.splitting import split_samples


def test_rule_describes_itself():
    full = rule("stratified", 0.12, 0.2, 42, "(.*)-", 5)
    assert full.describe() == (
        "stratified, validation 0.12, test 0.2, seed 42, group '(.*)-', 5 folds"
    )
    assert rule("given").describe() == "given, validation 0.2, test 0.2, seed 0"


def test_rows_are_kept_and_the_rule_is_noted():
    table = make_table(names(9)).set_index(pd.Index(range(9, 18)))
    table["height"] = range(9)
    split = split_samples(table, rule(seed=3, folds=2))
    pd.testing.assert_frame_equal(split[table.columns], table)
    assert set(split.columns) - set(table.columns) == {"group", "split", "fold", "split_rule"}
    assert set(split["split_rule"]) == {rule(seed=3, folds=2).describe()}


# Random


def test_random_split_follows_a_number_drawn_from_seed_and_name():
    expected = []
    for name in names(200):
        number = number_of(3, name)
        expected.append("train" if number < 0.6 else "validation" if number < 0.85 else "test")
    assert splits_of(names(200), "random", 0.25, 0.15, 3) == expected


def test_another_seed_gives_another_split():
    for strategy in ("random", "stratified"):
        first, again, other = (splits_of(names(50), strategy, seed=seed) for seed in (1, 1, 2))
        assert first == again
        assert first != other


def test_random_split_meets_the_shares_for_2000_samples():
    splits = splits_of(names(2000), "random", 0.15, 0.25)
    for split, share in zip(SPLITS, (0.6, 0.15, 0.25), strict=True):
        deviation = (share * (1 - share) / 2000) ** 0.5
        assert abs(splits.count(split) / 2000 - share) < 4 * deviation


def test_random_split_needs_no_memory_when_samples_are_added_or_reordered():
    old = dict(zip(names(60), splits_of(names(60)), strict=True))
    more = [*names(60)[::-1], *(f"new_{number}" for number in range(90))]
    new = dict(zip(more, splits_of(more), strict=True))
    assert {name: new[name] for name in old} == old


@given(st.integers(0, 10**6), st.integers(3, 9), SHARES)
def test_no_split_is_empty_even_for_few_samples(seed, count, shares):
    for strategy in ("random", "stratified", "contiguous"):
        assert set(splits_of(names(count), strategy, *shares, seed)) == set(SPLITS)


def test_empty_split_gets_the_sample_nearest_to_its_range():
    ids = names(12)
    seed = next(s for s in range(1000) if max(number_of(s, i) for i in ids) < 0.85)
    splits = splits_of(ids, "random", 0.1, 0.05, seed)
    by_number = sorted(ids, key=lambda i: number_of(seed, i))
    given_away = {i: s for i, s in zip(ids, splits, strict=True) if s != "train"}
    assert given_away == {by_number[-1]: "validation", by_number[-2]: "test"}


# Stratified


def test_stratified_split_fills_the_subset_that_lacks_most():
    ids = sorted(names(10), key=lambda name: number_of(0, name))
    splits = splits_of(ids, "stratified", 0.25, 0.25)
    # Of 10 samples, 5, 2.5 and 2.5 are due; what is lacking is worked out by hand.
    expected = "train train train validation test train validation test train validation"
    assert splits == expected.split()


def test_small_strata_do_not_all_go_to_train():
    foreground = [0, 0, *(value for value in (0.1, 0.2, 0.3, 0.4) for _ in range(2))]
    split = split_samples(make_table(names(10), foreground), rule("stratified"))
    assert Counter(split["split"]) == {"train": 6, "validation": 2, "test": 2}


@given(st.integers(0, 10**6), st.integers(40, 90), SHARES)
def test_stratified_split_meets_the_shares_in_each_stratum(seed, count, shares):
    empty = count // 4
    foreground = np.r_[np.zeros(empty), np.linspace(0.1, 0.9, count - empty)]
    split = split_samples(make_table(names(count), foreground), rule("stratified", *shares, seed))
    some = split["foreground"][split["foreground"] > 0]
    strata = np.digitize(split["foreground"], [1e-9, *some.quantile([0.25, 0.5, 0.75])], right=True)
    for name, share in zip(SPLITS[1:], shares, strict=True):
        chosen = (split["split"] == name).to_numpy()
        assert abs(chosen.sum() - share * count) <= 2
        for stratum in np.unique(strata):
            of_stratum = strata == stratum
            assert abs(chosen[of_stratum].sum() - share * of_stratum.sum()) <= 2.5


def test_few_empty_samples_are_a_separate_stratum():
    table = make_table(names(40), np.r_[np.zeros(3), np.linspace(0.1, 0.9, 37)])
    for seed in range(10):
        split = split_samples(table, rule("stratified", 0.33, 0.33, seed))
        assert set(split["split"][:3]) == set(SPLITS)


@given(st.lists(st.integers(1, 20), min_size=3, max_size=30), SHARES)
def test_shares_are_counted_in_samples_not_in_groups(sizes, shares):
    groups = np.repeat(names(len(sizes)), sizes)
    table = make_table(names(sum(sizes)), groups=groups)
    split = split_samples(table, rule("stratified", *shares))
    for name, share in zip(SPLITS, (1 - sum(shares), *shares), strict=True):
        assert (split["split"] == name).sum() <= share * sum(sizes) + max(sizes)


def test_stratified_splits_are_alike_in_foreground():
    table = make_table(names(60), np.r_[np.zeros(20), np.geomspace(0.001, 0.9, 40)])

    def worst(strategy, seed):
        split = split_samples(table, rule(strategy, seed=seed))
        means = split.groupby("split")["foreground"].mean()
        return (means - table["foreground"].mean()).abs().max()

    stratified = [worst("stratified", seed) for seed in range(20)]
    random = [worst("random", seed) for seed in range(20)]
    assert max(stratified) < max(random)
    assert np.mean(stratified) < 0.6 * np.mean(random)


# Contiguous


@given(st.integers(3, 60), SHARES)
def test_contiguous_blocks_follow_each_other_and_meet_the_shares(count, shares):
    splits = splits_of(names(count), "contiguous", *shares)
    assert [split for split, _ in groupby(splits)] == list(SPLITS)
    for split, share in zip(SPLITS[1:], shares, strict=True):
        assert abs(splits.count(split) - share * count) <= 1


def test_contiguous_split_of_ten():
    assert splits_of(names(10), "contiguous", 0.2, 0.3) == (
        ["train"] * 5 + ["validation"] * 2 + ["test"] * 3
    )


def test_blocks_consist_of_whole_groups_in_natural_order():
    ids = ["v10_1", "v10_2", "v2_1", "v2_2", "v2_3", "v2_4", "v2_5", "v9_1"]
    split = split_samples(make_table(ids), rule("contiguous", 0.2, 0.2, group="(.*)_"))
    assert dict(zip(split["group"], split["split"], strict=True)) == {
        "v2": "train",
        "v9": "validation",
        "v10": "test",
    }
    assert len(split.drop_duplicates(["group", "split"])) == 3


def test_blocks_run_through_the_samples_of_a_single_volume():
    table = make_table(names(10), groups=["volume"] * 10)
    split = split_samples(table, rule("contiguous", 0.2, 0.3, folds=2))
    assert split["split"].tolist() == ["train"] * 5 + ["validation"] * 2 + ["test"] * 3
    assert split["fold"].tolist() in ([0] * 4 + [1] * 3 + [-1] * 3, [0] * 3 + [1] * 4 + [-1] * 3)


def test_blocks_run_through_two_groups_in_the_order_of_the_samples():
    table = make_table(names(10), groups=["left", "right"] * 5)
    split = split_samples(table, rule("contiguous", 0.2, 0.3))
    assert split["split"].tolist() == ["train"] * 5 + ["validation"] * 2 + ["test"] * 3


# Groups


def test_group_is_the_captured_text_or_the_source_s_group_or_the_id():
    table = make_table(
        ["p1/left_3", "p1/right_4", "p2/left_3", "p3/up", "other", "lonely"],
        groups=[None, "ignored", None, None, "volume", None],
    )
    split = split_samples(table, rule("contiguous", group=r"(p\d)/(left|right)?"))
    assert split["group"].tolist() == [
        *("p1_left", "p1_right", "p2_left", "p3_"),
        *("volume", "lonely"),
    ]


def test_pairs_that_belong_together_merge_their_groups():
    table = make_table(
        [f"{letter}_{number}" for letter in "abcdef" for number in (2, 10)],
        groups=[f"{letter}10" for letter in "abcdef" for _ in range(2)],
    )
    pairs = [("e_2", "d_10"), ("b_2", "d_2"), ("c_2", "gone"), ("a_2", "a_10")]
    split = split_samples(table, rule(), linked=pairs)
    assert split["group"].tolist() == [f"{letter}10" for letter in "aabbccbbbbff"]
    assert len(split.drop_duplicates(["group", "split"])) == 4


def test_merged_group_is_named_after_the_first_in_natural_order():
    split = split_samples(make_table(names(12)), rule(), linked=[("cell_10", "cell_9")])
    assert split["group"].tolist()[9:] == ["cell_9", "cell_9", "cell_11"]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(cell", "not a regular expression"),
        ("cell", "no group"),
        ("(tissue)", "matches no sample"),
    ],
)
def test_a_pattern_that_makes_no_groups_is_refused(pattern, problem):
    with pytest.raises(InputError, match=problem) as refused:
        splits_of(names(9), group=pattern)
    assert refused.value.where == "ingestion.split.group"


def test_too_few_groups_for_the_splits_are_refused():
    for strategy in ("random", "stratified"):
        with pytest.raises(InputError, match="make up 1 of the 3 groups") as refused:
            splits_of(names(9), strategy, group="(cell)")
        assert refused.value.where == "ingestion.split.group"


grouped_ids = st.lists(st.integers(1, 6), min_size=6, max_size=14).map(
    lambda sizes: [f"{chr(97 + g)}_{n}" for g, size in enumerate(sizes) for n in range(size)]
)


@given(
    grouped_ids,
    st.sampled_from(["random", "stratified", "contiguous"]),
    SHARES,
    st.sampled_from([0, 2, 3]),
)
def test_no_group_is_divided(ids, strategy, shares, folds):
    table = make_table(ids, np.linspace(0, 0.5, len(ids)))
    split = split_samples(table, rule(strategy, *shares, group=GROUP_BY_LETTER, folds=folds))
    assert len(split) == len(ids)
    assert set(split["split"]) == set(SPLITS)
    assert (split.groupby("group")[["split", "fold"]].nunique() == 1).all(axis=None)


# Given by the source


def test_split_of_the_source_is_kept_even_if_it_divides_a_group():
    splits = ["test", "train", "validation", "train"] * 5
    table = make_table(names(20), groups=["a"] * 20, splits=splits)
    assert split_samples(table, rule("given"))["split"].tolist() == splits


def test_a_split_that_the_source_lacks_is_drawn_from_its_training_samples_by_group():
    ids = [f"{letter}_{number}" for letter in "abcdefghijklmnopqrst" for number in range(5)]
    given_splits = ["test" if number < 20 else "train" for number in range(100)]
    table = make_table(ids, splits=given_splits)
    split = split_samples(table, rule("given", 0.25, group=GROUP_BY_LETTER))
    for row in split.itertuples():
        drawn = "validation" if number_of(0, row.group) >= 0.75 else "train"
        assert row.split == ("test" if row.source_split == "test" else drawn)
    assert set(split["split"]) == set(SPLITS)


def test_both_splits_are_drawn_where_the_source_gives_training_samples_only():
    table = make_table(names(40), splits=["train"] * 40)
    drawn = split_samples(table, rule("given", seed=5))["split"].tolist()
    assert drawn == splits_of(names(40), "random", seed=5)


def test_samples_without_a_given_split_are_refused():
    with pytest.raises(InputError, match="no split for 9 of 9 samples; the first is 'cell_0'"):
        splits_of(names(9), "given")
    table = make_table(names(4), splits=["train", "test", None, "validation"])
    with pytest.raises(InputError, match="no split for 1 of 4 samples; the first is 'cell_2'"):
        split_samples(table, rule("given"))


def test_a_source_without_training_samples_is_refused():
    table = make_table(names(4), splits=["validation", "test"] * 2)
    with pytest.raises(InputError, match="no sample to train on"):
        split_samples(table, rule("given"))


# Folds


@pytest.mark.parametrize("strategy", ["random", "stratified", "contiguous", "given"])
def test_every_sample_that_does_not_test_is_in_one_of_equal_folds(strategy):
    splits = ["train", "train", "validation", "test"] * 16
    table = make_table(names(64), np.linspace(0, 1, 64), splits=splits)
    split = split_samples(table, rule(strategy, folds=5))
    assert ((split["split"] == "test") == (split["fold"] == -1)).all()
    counts = split["fold"][split["fold"] >= 0].value_counts()
    assert sorted(counts.index) == [0, 1, 2, 3, 4]
    assert counts.max() - counts.min() <= 1


def test_folds_of_a_series_are_blocks():
    split = split_samples(make_table(names(40)), rule("contiguous", folds=4))
    assert [fold for fold, _ in groupby(split["fold"])] == [0, 1, 2, 3, -1]


def test_stratified_folds_are_alike_in_foreground():
    foreground = np.r_[np.zeros(30), np.geomspace(0.001, 0.9, 90)]
    split = split_samples(make_table(names(120), foreground), rule("stratified", folds=4))
    kept = split[split["fold"] >= 0]
    empty = kept[kept["foreground"] == 0]["fold"].value_counts()
    full = kept[kept["foreground"] > 0.1]["fold"].value_counts()
    for counts in (empty, full):
        assert len(counts) == 4
        assert counts.max() - counts.min() <= 2


def test_more_folds_than_groups_are_refused():
    ids = [f"{letter}_{number}" for letter in "abcd" for number in range(9)]
    with pytest.raises(InputError, match="4 folds need as many groups") as refused:
        splits_of(ids, group=GROUP_BY_LETTER, folds=4)
    assert refused.value.where == "ingestion.split.folds"
    assert refused.value.fix.endswith("at most 3")


# Edges


@pytest.mark.parametrize("strategy", ["random", "stratified", "contiguous", "given"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_samples_fill_the_first_splits(strategy, count):
    for seed in range(9):
        table = make_table(names(count), splits=["train"] * count)
        split = split_samples(table, rule(strategy, seed=seed, folds=3))
        assert split["split"].tolist() == list(SPLITS[:count])
        assert split["fold"].tolist() == list(range(count))
