"""Strategies that assign units to subsets, which are splits or folds."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.data.splitting.groups import Units

Subsets: TypeAlias = NDArray[np.intp]
"""The number of each unit's subset, -1 for none."""

Strategy: TypeAlias = Callable[[Units, NDArray[np.float64], Subsets], Subsets]
"""A function `(units, fractions, old) -> subsets`.

`fractions` holds the wanted fraction of all samples for each subset; their sum is 1. `old` holds
the units' subsets in the last run, which they keep. There are at least as many units as positive
fractions, and each of these subsets gets one.
"""


def assign_by_draw(units: Units, fractions: NDArray[np.float64], old: Subsets) -> Subsets:
    """Assign each unit to the subset whose range contains its drawn number."""
    drawn = np.searchsorted(np.cumsum(fractions)[:-1], units.draws, side="right")
    return _fill_empty(units, fractions, old, np.where(old >= 0, old, drawn))


def assign_by_stratum(units: Units, fractions: NDArray[np.float64], old: Subsets) -> Subsets:
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


def assign_blocks(units: Units, fractions: NDArray[np.float64], old: Subsets) -> Subsets:
    """Cut the series of units into blocks, or let new units join their nearest old neighbour."""
    if not np.isin(np.flatnonzero(fractions), old).all():
        return _cut(units.sizes, fractions)
    known, places = np.flatnonzero(old >= 0), np.arange(len(units))
    after = np.searchsorted(known, places).clip(max=len(known) - 1)
    before = (after - 1).clip(min=0)
    nearer = np.abs(known[after] - places) < np.abs(places - known[before])
    joined: Subsets = old[known[np.where(nearer | (after == 0), after, before)]]
    return np.where(old >= 0, old, joined)


def _cut(sizes: NDArray[np.intp], fractions: NDArray[np.float64]) -> Subsets:
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
