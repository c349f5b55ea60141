"""Splitting with the table of the last run: samples keep their split."""

from collections import Counter
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.split_tables import (
    GROUP_BY_LETTER,
    make_table,
    names,
    number_of,
    rule,
    sides,
    splits_of,
)
from unetflow.core.types import SPLITS
from unetflow.data.splitting import split_samples
from unetflow.io.file_listing import natural_order


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
def test_samples_keep_their_split_when_others_come_and_go(history):
    made_by, tables = history
    for before, after in pairwise(tables):
        old, new = sides(before), sides(after)
        assert {i: new[i] for i in old if i in new} == {i: old[i] for i in old if i in new}
        assert set(after["split"]) == set(SPLITS)
        assert set(after["fold"]) == ({-1} if not made_by.parameters.folds else {-1, 0, 1})
        if made_by.parameters.strategy in ("random", "stratified"):
            assert (after.groupby("group")[["split", "fold"]].nunique() == 1).all(axis=None)


def grow(old_ids, new_ids, made_by, **changes):
    before = split_samples(make_table(old_ids), made_by).assign(**changes)
    return before, split_samples(make_table(new_ids), made_by, before)


def test_stratified_shares_are_met_over_old_and_new_samples():
    _, after = grow(names(40), names(100), rule("stratified"))
    assert Counter(after["split"]) == {"train": 60, "validation": 20, "test": 20}


def test_new_samples_fill_the_subset_that_lacks_most():
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


def test_divided_volume_stays_divided_when_others_come():
    old = [f"b_{number}" for number in range(10)]
    new = [*(f"a_{n}" for n in range(3)), *old, *(f"c_{n}" for n in range(3))]
    before, after = grow(old, new, rule("contiguous", group=GROUP_BY_LETTER))
    assert set(before["split"]) == set(SPLITS)
    assert after["split"].tolist() == ["train"] * 3 + before["split"].tolist() + ["test"] * 3


def test_volume_divided_into_folds_stays_divided_when_others_come():
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


def test_merged_groups_go_to_the_first_split_of_their_parts():
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


def test_changed_split_of_the_source_is_followed():
    old = make_table(names(40), splits=["train"] * 30 + ["test"] * 10)
    before = split_samples(old, rule("given"))
    changed = make_table(names(40), splits=["test"] * 10 + ["train"] * 30)
    after = split_samples(changed, rule("given"), before)
    assert after["split"].tolist()[:10] == ["test"] * 10
    assert after["split"].tolist()[10:30] == before["split"].tolist()[10:30]
    assert set(after["split"][30:]) <= {"train", "validation"}


@pytest.mark.parametrize("strategy", ["random", "stratified"])
@pytest.mark.parametrize("lost", SPLITS)
def test_empty_split_gets_another_sample(strategy, lost):
    before = split_samples(make_table(names(50)), rule(strategy))
    left = before[before["split"] != lost]
    after = split_samples(make_table(left["id"]), rule(strategy), before)
    moved = after["split"].to_numpy() != left["split"].to_numpy()
    assert after["split"][moved].tolist() == [lost]


def test_empty_split_prefers_a_new_sample():
    before = split_samples(make_table(names(50)), rule())
    left = before[before["split"] != "test"]["id"].tolist()
    new = next(i for i in map(str, range(99)) if number_of(0, i) < 0.5)
    after = split_samples(make_table([*left, new]), rule(), before)
    assert after["id"][after["split"] == "test"].tolist() == [new]


def test_series_without_one_of_its_blocks_is_cut_again():
    before, after = grow(names(20), names(15), rule("contiguous"))
    assert set(before["split"][:15]) == {"train", "validation"}
    assert after["split"].tolist() == splits_of(names(15), "contiguous")
