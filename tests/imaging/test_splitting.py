import hashlib
from collections import Counter
from itertools import groupby, pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetflow.imaging.errors import InputError
from unetflow.imaging.splitting import SPLITS, SplitRule, split_samples
from unetflow.imaging.trees import natural_order

SHARES = st.tuples(st.floats(0.05, 0.4), st.floats(0.05, 0.4))
GROUP_BY_LETTER = r"^([a-z]+)_"


def make_table(ids, foreground=0.5, groups=None, splits=None):
    ids = list(ids)
    return pd.DataFrame(
        {
            "id": pd.Series(ids, dtype=str),
            "image_sha256": [f"content of {i}" for i in ids],
            "source_group": groups if groups is not None else [None] * len(ids),
            "source_split": splits if splits is not None else [None] * len(ids),
            "foreground": np.broadcast_to(np.asarray(foreground, float), len(ids)),
        }
    )


def names(count):
    return [f"cell_{number}" for number in range(count)]


def rule(strategy="random", validation=0.2, test=0.2, seed=0, group=None, folds=0):
    return SplitRule(strategy, validation, test, seed, group, folds)


def splits_of(ids, *arguments, **options):
    return split_samples(make_table(ids), rule(*arguments, **options))["split"].tolist()


def number_of(seed, name):
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=7).hexdigest()
    return int(digest, 16) / 2**56


def sides(table):
    return dict(zip(table["id"], zip(table["split"], table["fold"], strict=True), strict=True))


def test_rule_describes_itself():
    full = SplitRule("stratified", 0.12, 0.2, 42, "(.*)-", 5)
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


def test_stratified_split_deals_to_whom_most_is_lacking():
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


def test_the_few_empty_samples_are_a_stratum_of_their_own():
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


def test_group_is_what_the_pattern_captures_else_the_source_s_else_the_id():
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
    split = split_samples(table, rule(), together=pairs)
    assert split["group"].tolist() == [f"{letter}10" for letter in "aabbccbbbbff"]
    assert len(split.drop_duplicates(["group", "split"])) == 4


def test_merged_group_is_named_after_the_first_in_natural_order():
    split = split_samples(make_table(names(12)), rule(), together=[("cell_10", "cell_9")])
    assert split["group"].tolist()[9:] == ["cell_9", "cell_9", "cell_11"]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [("(cell", "no regular expression"), ("cell", "no group"), ("(tissue)", "matches no sample")],
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


def test_the_source_s_split_is_obeyed_even_where_it_divides_a_group():
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
    assert refused.value.mend.endswith("at most 3")


# The last run


def change(draw, table):
    """Add samples, some of new groups, and remove others, but not the last of a side."""
    count = draw(st.integers(0, 8))
    letters = draw(st.lists(st.sampled_from("abcdefghijklmnop"), min_size=count, max_size=count))
    new = {f"{letter}_{draw(st.integers(0, 99))}" for letter in letters}
    last = set(table.drop_duplicates(["split", "fold"])["id"])
    leaving = {i for i in table["id"] if i not in last and draw(st.integers(0, 5)) == 0}
    return sorted((set(table["id"]) | new) - leaving, key=natural_order)


@st.composite
def histories(draw):
    """Return a rule and a series of tables, each split with the one before in mind."""
    strategy = draw(st.sampled_from(["random", "stratified", "contiguous", "given"]))
    grouped = draw(st.booleans())
    made_by = rule(
        strategy, group=GROUP_BY_LETTER if grouped else None, folds=draw(st.sampled_from([0, 2]))
    )
    ids = [
        f"{letter}_{number}"
        for letter in "cdefghij"[: draw(st.integers(6, 8))]
        for number in (3, 5)
    ]
    if strategy == "contiguous" and grouped and draw(st.booleans()):
        ids = [f"{letter}_{number}" for letter in "cg" for number in range(5, 20, 2)]
    tables = []
    for _ in range(4):
        # The source gives a test split and no validation split.
        given_splits = ["test" if ord(i[0]) % 4 == 0 else "train" for i in ids]
        foreground = [max(0, number_of("foreground", i) - 0.2) for i in ids]
        samples = make_table(ids, foreground, splits=given_splits)
        tables.append(split_samples(samples, made_by, tables[-1] if tables else None))
        ids = change(draw, tables[-1])
    return made_by, tables


@given(histories())
def test_nobody_changes_sides_when_samples_come_and_go(history):
    made_by, tables = history
    for before, after in pairwise(tables):
        old, new = sides(before), sides(after)
        assert {i: new[i] for i in old if i in new} == {i: old[i] for i in old if i in new}
        assert set(after["split"]) == set(SPLITS)
        assert set(after["fold"]) == ({-1} if not made_by.folds else {-1, 0, 1})
        if made_by.strategy in ("random", "stratified"):
            assert (after.groupby("group")[["split", "fold"]].nunique() == 1).all(axis=None)


def grow(old_ids, new_ids, made_by, **changes):
    before = split_samples(make_table(old_ids), made_by).assign(**changes)
    return before, split_samples(make_table(new_ids), made_by, before)


def test_stratified_shares_are_met_over_old_and_new_samples():
    _, after = grow(names(40), names(100), rule("stratified"))
    assert Counter(after["split"]) == {"train": 60, "validation": 20, "test": 20}


def test_new_samples_go_where_old_ones_are_lacking():
    _, after = grow(names(20), names(40), rule("stratified"), split="train")
    assert Counter(after["split"][20:]) == {"train": 4, "validation": 8, "test": 8}


def test_a_new_sample_joins_its_group():
    old = [f"{letter}_{number}" for letter in "abcdefgh" for number in range(3)]
    new = sorted([*old, *(f"{letter}_7" for letter in "abcdefgh")])
    for strategy in ("random", "stratified", "contiguous"):
        before, after = grow(old, new, rule(strategy, group=GROUP_BY_LETTER, folds=2))
        side_of_group = {i[0]: side for i, side in sides(before).items()}
        assert {i: side_of_group[i[0]] for i in new} == sides(after)


def test_a_new_slice_joins_its_nearest_neighbour():
    old = [f"slice_{number}" for number in range(0, 100, 10)]
    new = [f"slice_{number}" for number in (0, 10, 20, 30, 40, 50, 51, 55, 59, 60, 70, 80, 90, 95)]
    _, after = grow(old, new, rule("contiguous"))
    assert after["split"].tolist() == ["train"] * 8 + ["validation"] * 3 + ["test"] * 3


def test_a_volume_that_was_divided_stays_so_when_others_come():
    old = [f"b_{number}" for number in range(10)]
    new = [*(f"a_{n}" for n in range(3)), *old, *(f"c_{n}" for n in range(3))]
    before, after = grow(old, new, rule("contiguous", group=GROUP_BY_LETTER))
    assert set(before["split"]) == set(SPLITS)
    assert after["split"].tolist() == ["train"] * 3 + before["split"].tolist() + ["test"] * 3


def test_a_volume_that_was_divided_into_folds_stays_so_when_others_come():
    old = [*(f"a_{number}" for number in range(16)), *(f"b_{number}" for number in range(4))]
    new = [*old, "c_0", "c_1"]
    made_by = rule("contiguous", 0.1, 0.1, group=GROUP_BY_LETTER, folds=2)
    before, after = grow(old, new, made_by)
    assert before["split"].tolist()[:16] == ["train"] * 16
    assert before["fold"].tolist()[:16] == [0] * 9 + [1] * 7
    assert {i: sides(after)[i] for i in old} == sides(before)


def test_an_image_that_has_changed_is_new():
    before = split_samples(make_table(names(30)), rule(seed=1)).assign(split="test")
    before.loc[:9, "image_sha256"] = "something else"
    after = split_samples(make_table(names(30)), rule(seed=1), before)
    assert after["split"].tolist() == splits_of(names(10), seed=1) + ["test"] * 20


@pytest.mark.parametrize(
    "other", [{"split_rule": "another rule"}, {"split_rule": rule(seed=1, folds=2).describe()}]
)
def test_a_table_by_another_rule_is_forgotten(other):
    made_by = rule(seed=1)
    _, after = grow(names(30), names(30), made_by, split="test", **other)
    assert after["split"].tolist() == splits_of(names(30), seed=1)


def test_a_table_without_a_rule_is_forgotten():
    before = make_table(names(30)).assign(split="test")
    after = split_samples(make_table(names(30)), rule(), before)
    assert after["split"].tolist() == splits_of(names(30))


def test_groups_that_have_become_one_go_to_the_first_side_that_a_part_was_on():
    table = make_table(names(60))
    for strategy in ("random", "stratified"):
        before = split_samples(table, rule(strategy, folds=3))
        first = before.drop_duplicates("split").set_index("split")["id"]
        pairs = [(first["test"], first["validation"]), (first["test"], first["train"])]
        after = split_samples(table, rule(strategy, folds=3), before, pairs)
        merged = after[after["id"].isin(first)]
        assert set(merged["split"]) == {"train"}
        assert merged["fold"].nunique() == 1
        unmoved = ~table["id"].isin(first)
        pd.testing.assert_series_equal(after["split"][unmoved], before["split"][unmoved])


def test_the_source_is_obeyed_when_it_changes_its_mind():
    old = make_table(names(40), splits=["train"] * 30 + ["test"] * 10)
    before = split_samples(old, rule("given"))
    changed = make_table(names(40), splits=["test"] * 10 + ["train"] * 30)
    after = split_samples(changed, rule("given"), before)
    assert after["split"].tolist()[:10] == ["test"] * 10
    assert after["split"].tolist()[10:30] == before["split"].tolist()[10:30]
    assert set(after["split"][30:]) <= {"train", "validation"}


@pytest.mark.parametrize("strategy", ["random", "stratified"])
@pytest.mark.parametrize("lost", SPLITS)
def test_a_split_that_has_lost_all_its_samples_gets_one_other(strategy, lost):
    before = split_samples(make_table(names(50)), rule(strategy))
    left = before[before["split"] != lost]
    after = split_samples(make_table(left["id"]), rule(strategy), before)
    moved = after["split"].to_numpy() != left["split"].to_numpy()
    assert after["split"][moved].tolist() == [lost]


def test_a_split_that_has_lost_all_its_samples_rather_gets_a_new_one():
    before = split_samples(make_table(names(50)), rule())
    left = before[before["split"] != "test"]["id"].tolist()
    new = next(i for i in map(str, range(99)) if number_of(0, i) < 0.5)
    after = split_samples(make_table([*left, new]), rule(), before)
    assert after["id"][after["split"] == "test"].tolist() == [new]


def test_a_series_that_has_lost_a_block_is_cut_anew():
    before, after = grow(names(20), names(15), rule("contiguous"))
    assert set(before["split"][:15]) == {"train", "validation"}
    assert after["split"].tolist() == splits_of(names(15), "contiguous")


# Edges


@pytest.mark.parametrize("strategy", ["random", "stratified", "contiguous", "given"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_samples_are_split_as_far_as_they_reach(strategy, count):
    for seed in range(9):
        table = make_table(names(count), splits=["train"] * count)
        split = split_samples(table, rule(strategy, seed=seed, folds=3))
        assert split["split"].tolist() == list(SPLITS[:count])
        assert split["fold"].tolist() == list(range(count))


def test_an_unknown_strategy_is_refused():
    with pytest.raises(InputError, match="no strategy 'rnadom'"):
        splits_of(names(9), "rnadom")
