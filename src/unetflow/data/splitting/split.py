"""Which samples train, which validate and which test, and in which fold each one is.

A group of samples is never divided. The strategies:

- "random": by a number that is drawn from the seed and the group's name alone. The shares are met
  on average only, but nobody changes sides when samples are added.
- "stratified": the shares are met among the groups with no foreground, and in each quarter of the
  others from those with little to those with much of it.
- "contiguous": training first, then validation, then test, for slices of a volume or frames of a
  film. With fewer than three groups, such as a single volume, the blocks run through the samples
  themselves: neighbours must be cut apart somewhere.
- "given": as the source says, even where that divides a group. A split that it does not give is
  drawn at random from what it gives for training.

A sample that was in the table of the last run keeps its side, if the rule is the same and its
image has not changed, and new samples of its group join it. There are two exceptions. Of groups
that have become one, the whole goes to the first of train, validation and test that a part was
in: what has trained once must not test. (Blocks leave it divided.) And a split or a fold that has
lost all its samples gets another group, or the blocks are cut anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import SPLITS
from unetflow.data.splitting.groups import name_groups
from unetflow.data.splitting.strategies import Share, share_by_number, share_dealt, share_in_blocks
from unetflow.data.splitting.units import Units, make_units

__all__ = ["SPLITS", "SplitRule", "split_samples"]

_TRAIN, _TEST = SPLITS.index("train"), SPLITS.index("test")

_SHARE_SAMPLES: dict[str, Share] = {
    "random": share_by_number,
    "stratified": share_dealt,
    "contiguous": share_in_blocks,
    "given": share_by_number,
}


@dataclass(frozen=True)
class SplitRule:
    """How samples are split.

    Attributes:
        strategy: "random", "stratified", "contiguous" or "given"; see the module.
        validation: Share of the samples that validate, between 0 and 1.
        test: Share of those that test, likewise; what is left trains.
        seed: Another seed gives another split, except in blocks.
        group: A regular expression, searched in the id; samples in which its groups capture the
            same text stay together.
        folds: Number of folds for cross-validation, 0 for none.
    """

    strategy: str
    validation: float
    test: float
    seed: int
    group: str | None = None
    folds: int = 0

    def describe(self) -> str:
        """Return the rule as one line, to tell whether an earlier table was made by the same."""
        parts = [
            self.strategy,
            f"validation {self.validation}",
            f"test {self.test}",
            f"seed {self.seed}",
        ]
        if self.group is not None:
            parts.append(f"group '{self.group}'")
        if self.folds:
            parts.append(f"{self.folds} folds")
        return ", ".join(parts)


def split_samples(
    samples: pd.DataFrame,
    rule: SplitRule,
    before: pd.DataFrame | None = None,
    together: Iterable[tuple[str, str]] = (),
) -> pd.DataFrame:
    """Give each sample its group, its split and its fold, as the module says.

    Args:
        samples: A row for each sample in natural order, with the columns `id`, `image_sha256`,
            `source_group` (what the source knows to belong together, or None), `source_split`
            (one of `SPLITS`, or None) and `foreground` (share of the counted pixels that are not
            background, 0 to 1). Of fewer than three samples the first ones train and validate.
        rule: How to split.
        before: The table of the last run, or None.
        together: Pairs of ids whose groups are one, such as copies of one image.

    Returns:
        The same rows with `group`, `split`, `fold` (-1 in the test split, and without folds) and
        `split_rule`.

    Raises:
        InputError: The rule does not fit the samples.
    """
    if rule.strategy not in _SHARE_SAMPLES:
        raise InputError(
            "ingestion.split.strategy",
            f"there is no strategy '{rule.strategy}'",
            f"Known: {', '.join(_SHARE_SAMPLES)}",
        )
    groups = name_groups(samples, rule.group, together)
    old_splits, old_folds = _recall(samples, rule, before)
    divided = _divided_groups(groups, rule, old_splits, old_folds)
    units = make_units(
        samples, groups, divided, rule.seed, stratified=rule.strategy == "stratified"
    )
    if rule.strategy == "given":
        splits = _given_splits(samples, units, rule, old_splits)
    else:
        shares = np.array([1 - rule.validation - rule.test, rule.validation, rule.test])
        everyone = np.ones(len(samples), bool)
        splits = _share_out(units, everyone, rule.strategy, shares, old_splits)
    folds = _deal_folds(units, splits != _TEST, rule, old_folds)
    return samples.assign(
        group=groups,
        split=[SPLITS[split] for split in splits],
        fold=folds,
        split_rule=rule.describe(),
    )


def _recall(
    samples: pd.DataFrame, rule: SplitRule, before: pd.DataFrame | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the split and the fold that each sample had, -1 where it is new."""
    old: dict[tuple[str, str], tuple[int, int]] = {}
    if before is not None and {"split_rule", "fold"} <= set(before.columns):
        same_rule = before[before["split_rule"] == rule.describe()]
        keys = zip(same_rule["id"], same_rule["image_sha256"], strict=True)
        sides = zip(map(SPLITS.index, same_rule["split"]), same_rule["fold"], strict=True)
        old = dict(zip(keys, sides, strict=True))
    keys = zip(samples["id"], samples["image_sha256"], strict=True)
    recalled = np.array([old.get(key, (-1, -1)) for key in keys], np.intp).reshape(-1, 2)
    return recalled[:, 0], recalled[:, 1]


def _divided_groups(
    groups: list[str],
    rule: SplitRule,
    old_splits: NDArray[np.intp],
    old_folds: NDArray[np.intp],
) -> set[str]:
    """Return the groups that blocks run through: all where they are few, else as in the past."""
    if rule.strategy != "contiguous":
        return set()
    if len(set(groups)) < len(SPLITS):
        return set(groups)
    sides: dict[str, set[tuple[int, int]]] = {}
    for group, split, fold in zip(groups, old_splits, old_folds, strict=True):
        if split >= 0:
            sides.setdefault(group, set()).add((int(split), int(fold)))
    return {group for group, those in sides.items() if len(those) > 1}


def _given_splits(
    samples: pd.DataFrame, units: Units, rule: SplitRule, old_splits: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the source's splits, and draw those that it lacks from its training samples."""
    nameless = samples["id"][samples["source_split"].isna()].tolist()
    if nameless:
        raise InputError(
            "ingestion.split.strategy",
            f"it is 'given', but the source gives no split for {len(nameless)} of "
            f"{len(samples)} samples; the first is '{nameless[0]}'",
            "Give `splits` in the catalog, or choose another strategy",
        )
    splits = np.array([SPLITS.index(split) for split in samples["source_split"]], np.intp)
    training = splits == _TRAIN
    if len(samples) and not training.any():
        raise InputError(
            "ingestion.split.strategy",
            "it is 'given', but the source gives no sample to train on",
            "Give `train` among the `splits` in the catalog, or choose another strategy",
        )
    shares = np.array([0.0, rule.validation, rule.test])
    shares[np.unique(splits)] = 0
    shares[_TRAIN] = 1 - shares.sum()
    drawn = (old_splits >= 0) & (shares[old_splits] > 0)
    old_splits = np.where(drawn, old_splits, -1)
    splits[training] = _share_out(units, training, rule.strategy, shares, old_splits)
    return splits


def _share_out(
    units: Units,
    rows: NDArray[np.bool_],
    strategy: str,
    shares: NDArray[np.float64],
    old_splits: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Return the split of the samples of some rows, by their units."""
    needed = np.flatnonzero(shares)
    part, unit_of_row = units.part(rows)
    if len(part) >= len(needed):
        old = _of_units(old_splits[rows], unit_of_row, len(part))
        return _SHARE_SAMPLES[strategy](part, shares, old)[unit_of_row]
    if len(units.of_row) >= len(SPLITS):
        names = " and ".join(f"'{SPLITS[split]}'" for split in needed)
        raise InputError(
            "ingestion.split.group",
            f"the {int(rows.sum())} samples for {names} make up {len(part)} of the {len(needed)} "
            "groups (of the expression, or volumes and films of the source) that are needed, one "
            "for each",
            "Set `ingestion.split.strategy: contiguous`, which may cut a single group, or an "
            "expression that tells more groups apart",
        )
    return needed[unit_of_row]


def _deal_folds(
    units: Units, rows: NDArray[np.bool_], rule: SplitRule, old_folds: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the fold of each sample, -1 outside some rows."""
    folds = np.full(len(rows), -1, np.intp)
    part, unit_of_row = units.part(rows)
    if not rule.folds:
        return folds
    if len(part) >= rule.folds:
        share = share_in_blocks if rule.strategy == "contiguous" else share_dealt
        old = _of_units(old_folds[rows], unit_of_row, len(part))
        folds[rows] = share(part, np.full(rule.folds, 1 / rule.folds), old)[unit_of_row]
    elif len(rows) >= len(SPLITS):
        raise InputError(
            "ingestion.split.folds",
            f"{rule.folds} folds need as many groups, and only {len(part)} do not test",
            f"Set `ingestion.split.folds` to at most {len(part)}",
        )
    else:
        folds[rows] = unit_of_row
    return folds


def _of_units(old: NDArray[np.intp], unit_of_row: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return the first side that a part of each unit was on, -1 where all of it is new."""
    nowhere = np.iinfo(np.intp).max
    first = np.full(count, nowhere)
    np.minimum.at(first, unit_of_row[old >= 0], old[old >= 0])
    return np.where(first == nowhere, -1, first)
