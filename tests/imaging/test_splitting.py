import hashlib
from itertools import groupby

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from unetflow.imaging.splitting import SPLITS, contiguous_split, random_split, split_samples

SHARES = st.tuples(st.floats(0.05, 0.4), st.floats(0.05, 0.4))


def names(count):
    return [f"cell_{number}" for number in range(count)]


def number_of(seed, name):
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=7).hexdigest()
    return int(digest, 16) / 2**56


def test_random_split_follows_a_number_drawn_from_seed_and_name():
    expected = []
    for name in names(200):
        number = number_of(3, name)
        expected.append("train" if number < 0.6 else "validation" if number < 0.85 else "test")
    assert random_split(names(200), 0.25, 0.15, 3) == expected


def test_random_split_depends_on_the_seed():
    assert random_split(names(50), 0.2, 0.2, 1) != random_split(names(50), 0.2, 0.2, 2)
    assert random_split(names(50), 0.2, 0.2, 1) == random_split(names(50), 0.2, 0.2, 1)


def test_random_split_meets_the_shares_for_2000_samples():
    splits = random_split(names(2000), 0.15, 0.25, 0)
    for split, share in zip(SPLITS, (0.6, 0.15, 0.25), strict=True):
        deviation = (share * (1 - share) / 2000) ** 0.5
        assert abs(splits.count(split) / 2000 - share) < 4 * deviation


@given(st.integers(0, 1000), st.integers(0, 150), st.randoms(use_true_random=False))
def test_nobody_changes_sides_when_samples_are_added_or_reordered(seed, extra, random):
    old = names(60)
    before = dict(zip(old, random_split(old, 0.2, 0.2, seed), strict=True))
    numbers = [number_of(seed, name) for name in old]
    assume(min(numbers) < 0.6 and max(numbers) >= 0.8 and any(0.6 <= n < 0.8 for n in numbers))
    more = old + [f"new_{number}" for number in range(extra)]
    random.shuffle(more)
    after = dict(zip(more, random_split(more, 0.2, 0.2, seed), strict=True))
    assert {name: after[name] for name in old} == before


@given(st.integers(0, 10**6), st.integers(3, 9), SHARES)
def test_no_split_is_empty_even_for_few_samples(seed, count, shares):
    for strategy in ("random", "contiguous"):
        splits = split_samples(names(count), strategy, *shares, seed)
        assert len(splits) == count
        assert set(splits) == set(SPLITS)


def test_empty_split_gets_the_sample_nearest_to_its_range():
    ids = names(12)
    seed = next(s for s in range(1000) if max(number_of(s, i) for i in ids) < 0.85)
    splits = random_split(ids, 0.1, 0.05, seed)
    by_number = sorted(ids, key=lambda i: number_of(seed, i))
    given_away = {i: s for i, s in zip(ids, splits, strict=True) if s != "train"}
    assert given_away == {by_number[-1]: "validation", by_number[-2]: "test"}


@given(st.integers(3, 60), SHARES)
def test_contiguous_blocks_follow_each_other_and_meet_the_shares(count, shares):
    splits = contiguous_split(names(count), *shares)
    assert [split for split, _ in groupby(splits)] == list(SPLITS)
    for split, share in zip(SPLITS[1:], shares, strict=True):
        assert abs(splits.count(split) - share * count) <= 1


def test_contiguous_split_of_ten():
    assert contiguous_split(names(10), 0.2, 0.3) == (
        ["train"] * 5 + ["validation"] * 2 + ["test"] * 3
    )


@pytest.mark.parametrize(("strategy", "blocks"), [("contiguous", True), ("random", False)])
def test_strategy_is_chosen_by_name(strategy, blocks):
    splits = split_samples(names(40), strategy, 0.25, 0.25, 0)
    assert ([split for split, _ in groupby(splits)] == list(SPLITS)) is blocks
