"""Assignment of samples to training, validation and test, and to the folds.

A group of samples is never divided. The strategies:

- "random": by a number drawn from the seed and the group's name alone. The fractions are met on
  average only, but no sample moves when others are added.
- "stratified": the fractions are met among the groups without foreground, and in each quarter of
  the others, ordered by their foreground.
- "contiguous": training first, then validation, then test, for slices of a volume or frames of a
  film. If there are fewer than three groups, such as a single volume, the blocks consist of
  samples: neighbours must be separated somewhere.
- "given": as the source states, even if that divides a group. A split that the source lacks is
  drawn at random from its training samples.

A sample of the last run's table stays where it was if the rule is the same and its image has not
changed, and new samples of its group join it. There are two exceptions. If groups have become one,
the whole moves to the first of train, validation and test that a part was in, because a sample
that was trained on must not be tested. (Blocks leave it divided.) And a split or fold that has lost
all its samples gets another group, or the blocks are cut again.

A strategy is a function `(units, fractions, old) -> subsets`. Subsets are splits or folds by their
number. `fractions` holds the wanted fraction of all samples for each; their sum is 1. `old` holds
the units' subsets in the last run, -1 for none, which they keep. There are at least as many units
as positive fractions, and each of these subsets gets one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.config.ingestion import SplitParameters
from unetflow.core.errors import InputError
from unetflow.core.types import SPLITS
from unetflow.data.groups import Units, make_units, name_groups

_TRAIN, _TEST = SPLITS.index("train"), SPLITS.index("test")

Subsets: TypeAlias = NDArray[np.intp]
"""The number of a split, fold or subset for each sample or unit, -1 for none."""


@dataclass(frozen=True)
class SplitRule:
    """The parameters of a split and the seed, which changes every strategy but "contiguous"."""

    parameters: SplitParameters
    seed: int

    def describe(self) -> str:
        """Return the rule in one line, which identifies the rule of an earlier table."""
        split = self.parameters
        group = "" if split.group is None else f", group '{split.group}'"
        folds = f", {split.folds} folds" if split.folds else ""
        fractions = f"validation {split.validation}, test {split.test}"
        return f"{split.strategy}, {fractions}, seed {self.seed}{group}{folds}"


def split_samples(
    samples: pd.DataFrame,
    rule: SplitRule,
    before: pd.DataFrame | None = None,
    linked: Iterable[tuple[str, str]] = (),
) -> pd.DataFrame:
    """Give each sample its group, its split and its fold, as the module describes.

    Args:
        samples: A row for each sample in natural order, with the columns `id`, `image_sha256`,
            `source_group` (samples that the source puts together, or None), `source_split` (one of
            `SPLITS`, or None) and `foreground` (fraction of the counted pixels that are not
            background). Of fewer than three samples the first ones train and validate.
        rule: How to split.
        before: The table of the last run, or None.
        linked: Pairs of ids whose groups become one, such as copies of one image.

    Returns:
        The same rows with `group`, `split`, `fold` (-1 in the test split, and without folds) and
        `split_rule`.

    Raises:
        InputError: The rule does not fit the samples.
    """
    split = rule.parameters
    groups = name_groups(samples, split.group, linked)
    old_splits, old_folds = _find_earlier(samples, rule, before)
    divided = _divided_groups(groups, split.strategy, old_splits, old_folds)
    stratified = split.strategy == "stratified"
    units = make_units(samples, groups, divided, rule.seed, stratified=stratified)
    if split.strategy == "given":
        splits = _given_splits(samples, units, split, old_splits)
    else:
        fractions = np.array([1 - split.validation - split.test, split.validation, split.test])
        everyone = np.ones(len(samples), bool)
        splits = _assign(units, everyone, split.strategy, fractions, old_splits)
    folds = _assign_folds(units, splits != _TEST, split, old_folds)
    names = [SPLITS[number] for number in splits]
    return samples.assign(group=groups, split=names, fold=folds, split_rule=rule.describe())


def _find_earlier(
    samples: pd.DataFrame, rule: SplitRule, before: pd.DataFrame | None
) -> tuple[Subsets, Subsets]:
    """Return the earlier split and fold of each sample, -1 if it is new."""
    if before is None or not {"split_rule", "fold"} <= set(before.columns):
        nothing = np.full(len(samples), -1, np.intp)
        return nothing, nothing
    keys = ["id", "image_sha256"]
    earlier = before.loc[before["split_rule"] == rule.describe(), [*keys, "split", "fold"]]
    found = samples[keys].merge(earlier, "left", keys)
    return _split_numbers(found["split"]), found["fold"].fillna(-1).to_numpy(np.intp)


def _split_numbers(names: "pd.Series[str]") -> Subsets:
    """Return the positions of names in `SPLITS`, -1 for missing ones."""
    return pd.Categorical(names, SPLITS).codes.astype(np.intp)


def _divided_groups(
    groups: list[str], strategy: str, old_splits: Subsets, old_folds: Subsets
) -> set[str]:
    """Return the groups that blocks may divide: all if they are few, else those divided before."""
    if strategy != "contiguous":
        return set()
    if len(set(groups)) < len(SPLITS):
        return set(groups)
    earlier = pd.DataFrame({"group": groups, "split": old_splits, "fold": old_folds})
    counts = earlier[earlier["split"] >= 0].drop_duplicates()["group"].value_counts()
    return set(counts.index[counts > 1])


def _given_splits(
    samples: pd.DataFrame, units: Units, split: SplitParameters, old_splits: Subsets
) -> Subsets:
    """Return the source's splits; draw those that it lacks from its training samples."""
    nameless = samples["id"][samples["source_split"].isna()].tolist()
    if nameless:
        raise InputError(
            "ingestion.split.strategy",
            f"it is 'given', but the source gives no split for {len(nameless)} of "
            f"{len(samples)} samples; the first is '{nameless[0]}'",
            "Give `splits` in the catalog, or choose another strategy",
        )
    splits = _split_numbers(samples["source_split"])
    training = splits == _TRAIN
    if len(samples) and not training.any():
        raise InputError(
            "ingestion.split.strategy",
            "it is 'given', but the source gives no sample to train on",
            "Give `train` among the `splits` in the catalog, or choose another strategy",
        )
    fractions = np.array([0.0, split.validation, split.test])
    fractions[np.unique(splits)] = 0
    fractions[_TRAIN] = 1 - fractions.sum()
    drawn = (old_splits >= 0) & (fractions[old_splits] > 0)
    old_splits = np.where(drawn, old_splits, -1)
    splits[training] = _assign(units, training, split.strategy, fractions, old_splits)
    return splits


def _assign(
    units: Units,
    rows: NDArray[np.bool_],
    strategy: str,
    fractions: NDArray[np.float64],
    old_splits: Subsets,
) -> Subsets:
    """Return the split of the samples in some rows, by their units."""
    needed = np.flatnonzero(fractions)
    part = units.part(rows)
    if len(part) >= len(needed):
        strategies = {"stratified": _assign_by_stratum, "contiguous": _assign_blocks}
        assign = strategies.get(strategy, _assign_by_draw)
        return assign(part, fractions, _first_in_unit(old_splits[rows], part))[part.of_row]
    if len(units.of_row) >= len(SPLITS):
        names = " and ".join(f"'{SPLITS[number]}'" for number in needed)
        raise InputError(
            "ingestion.split.group",
            f"the {int(rows.sum())} samples for {names} make up {len(part)} of the {len(needed)} "
            "groups (of the expression, or volumes and films of the source) that are needed, one "
            "for each",
            "Set `ingestion.split.strategy: contiguous`, which may divide a single group, or an "
            "expression that separates more groups",
        )
    return needed[part.of_row]


def _assign_folds(
    units: Units, rows: NDArray[np.bool_], split: SplitParameters, old_folds: Subsets
) -> Subsets:
    """Return the fold of each sample, -1 outside some rows."""
    folds = np.full(len(rows), -1, np.intp)
    part = units.part(rows)
    if not split.folds:
        return folds
    if len(part) >= split.folds:
        assign = _assign_blocks if split.strategy == "contiguous" else _assign_by_stratum
        fractions = np.full(split.folds, 1 / split.folds)
        folds[rows] = assign(part, fractions, _first_in_unit(old_folds[rows], part))[part.of_row]
    elif len(rows) >= len(SPLITS):
        raise InputError(
            "ingestion.split.folds",
            f"{split.folds} folds need as many groups, and only {len(part)} do not test",
            f"Set `ingestion.split.folds` to at most {len(part)}",
        )
    else:
        folds[rows] = part.of_row
    return folds


def _first_in_unit(old: Subsets, units: Units) -> Subsets:
    """Return the smallest earlier number of each unit's samples, -1 if all are new."""
    none = np.iinfo(np.intp).max
    first = np.full(len(units), none)
    np.minimum.at(first, units.of_row[old >= 0], old[old >= 0])
    return np.where(first == none, -1, first)


def _assign_by_draw(units: Units, fractions: NDArray[np.float64], old: Subsets) -> Subsets:
    """Assign each unit to the subset whose range contains its drawn number."""
    drawn = np.searchsorted(np.cumsum(fractions)[:-1], units.draws, side="right")
    return _fill_empty(units, fractions, old, np.where(old >= 0, old, drawn))


def _assign_by_stratum(units: Units, fractions: NDArray[np.float64], old: Subsets) -> Subsets:
    """Assign the new units, stratum by stratum, each to the subset that lacks most samples.

    The lack is counted over all samples that have a subset or belong to a stratum that has been
    reached. So the next stratum makes up for the rounding of the last one, and small strata do not
    all go to the largest subset. Of subsets that lack equally many, the first one is served.
    """
    subsets = old.copy()
    filled = np.bincount(old[old >= 0], units.sizes[old >= 0], len(fractions))
    total = filled.sum()
    for stratum in np.unique(units.strata[old < 0]):
        new = np.flatnonzero((old < 0) & (units.strata == stratum))
        total += units.sizes[new].sum()
        for unit in new[np.argsort(units.draws[new], kind="stable")]:
            subsets[unit] = np.argmax(fractions * total - filled)
            filled[subsets[unit]] += units.sizes[unit]
    return _fill_empty(units, fractions, old, subsets)


def _assign_blocks(units: Units, fractions: NDArray[np.float64], old: Subsets) -> Subsets:
    """Cut the series of units into blocks, or let new units join their nearest old neighbour."""
    if not np.isin(np.flatnonzero(fractions), old).all():
        return _cut(units.sizes, fractions)
    known, places = np.flatnonzero(old >= 0), np.arange(len(units))
    after = np.searchsorted(known, places).clip(max=len(known) - 1)
    before = (after - 1).clip(min=0)
    nearer = np.abs(known[after] - places) < np.abs(places - known[before])
    joined: Subsets = old[known[np.where(nearer | (after == 0), after, before)]]
    return np.where(old >= 0, old, joined)


def _cut(sizes: Subsets, fractions: NDArray[np.float64]) -> Subsets:
    """Cut off one block after the other from the end, each as near to its fraction as possible."""
    ends = np.concatenate([[0], np.cumsum(sizes)])
    needed = np.flatnonzero(fractions)
    subsets = np.full(len(sizes), needed[0])
    stop = len(sizes)
    for earlier in range(len(needed) - 1, 0, -1):
        # The rest is divided again each time, so that rounding does not add up in the first block.
        fraction = fractions[needed[earlier]] / fractions[needed[: earlier + 1]].sum()
        lengths = ends[stop] - ends[earlier:stop]  # from `earlier` on: each block needs a unit
        start = earlier + int(np.argmin(np.abs(lengths - fraction * ends[stop])))
        subsets[start:stop] = needed[earlier]
        stop = start
    return subsets


def _fill_empty(
    units: Units, fractions: NDArray[np.float64], old: Subsets, subsets: Subsets
) -> Subsets:
    """Give each empty subset the unit whose number is nearest to the middle of its range.

    The unit comes from a subset that has others, and is an old one only if there is no new one.
    """
    middles = np.cumsum(fractions) - fractions / 2
    for subset in np.flatnonzero(fractions):
        if subset in subsets:
            continue
        spare = np.bincount(subsets, minlength=len(fractions))[subsets] > 1
        new = spare & (old < 0)
        choice = np.flatnonzero(new if new.any() else spare)
        subsets[choice[np.argmin(np.abs(units.draws[choice] - middles[subset]))]] = subset
    return subsets
