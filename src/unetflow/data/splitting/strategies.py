"""Ways to share units out among sides, which are splits or folds."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.data.splitting.units import Units

Sides: TypeAlias = NDArray[np.intp]
"""The number of each unit's side, -1 for none."""

Share: TypeAlias = Callable[[Units, NDArray[np.float64], Sides], Sides]
"""A way to share out: `(units, shares, old) -> sides`.

`shares` holds the part of all samples that each side shall have; together they are 1. `old` holds
the units' sides in the last run, which they keep. There are at least as many units as shares
above 0, and each of these sides gets one.
"""


def share_by_number(units: Units, shares: NDArray[np.float64], old: Sides) -> Sides:
    """Give each unit the side in whose range its drawn number lies."""
    drawn = np.searchsorted(np.cumsum(shares)[:-1], units.draws, side="right")
    return _fill_empty(units, shares, old, np.where(old >= 0, old, drawn))


def share_dealt(units: Units, shares: NDArray[np.float64], old: Sides) -> Sides:
    """Deal the new units out, stratum by stratum, each to the side that lacks most samples.

    What is lacking is counted over all samples that have a side or belong to a stratum that has
    been reached. So what one stratum rounds up, the next one makes good, and small strata do not
    all go to the largest side. Of sides that lack the same, the first one is served.
    """
    sides = old.copy()
    has = np.bincount(old[old >= 0], units.sizes[old >= 0], len(shares))
    total = has.sum()
    for stratum in np.unique(units.strata[old < 0]):
        new = np.flatnonzero((old < 0) & (units.strata == stratum))
        total += units.sizes[new].sum()
        for unit in new[np.argsort(units.draws[new], kind="stable")]:
            sides[unit] = np.argmax(shares * total - has)
            has[sides[unit]] += units.sizes[unit]
    return _fill_empty(units, shares, old, sides)


def share_in_blocks(units: Units, shares: NDArray[np.float64], old: Sides) -> Sides:
    """Cut the series of units into blocks, or let new units join their nearest old neighbour."""
    if not np.isin(np.flatnonzero(shares), old).all():
        return _cut(units.sizes, shares)
    known, places = np.flatnonzero(old >= 0), np.arange(len(units))
    after = np.searchsorted(known, places).clip(max=len(known) - 1)
    before = (after - 1).clip(min=0)
    nearer = np.abs(known[after] - places) < np.abs(places - known[before])
    joined: Sides = old[known[np.where(nearer | (after == 0), after, before)]]
    return np.where(old >= 0, old, joined)


def _cut(sizes: NDArray[np.intp], shares: NDArray[np.float64]) -> Sides:
    """Cut off one block after the other from the end, each as near to its share as possible."""
    ends = np.concatenate([[0], np.cumsum(sizes)])
    needed = np.flatnonzero(shares)
    sides = np.full(len(sizes), needed[0])
    stop = len(sizes)
    for earlier in range(len(needed) - 1, 0, -1):
        # What is left is shared anew, so that roundings do not pile up in the first block.
        share = shares[needed[earlier]] / shares[needed[: earlier + 1]].sum()
        lengths = ends[stop] - ends[earlier:stop]  # from `earlier` on: each block needs a unit
        start = earlier + int(np.argmin(np.abs(lengths - share * ends[stop])))
        sides[start:stop] = needed[earlier]
        stop = start
    return sides


def _fill_empty(units: Units, shares: NDArray[np.float64], old: Sides, sides: Sides) -> Sides:
    """Give each empty side the unit whose number lies nearest to the middle of its range.

    It is taken from a side that has others, and an old one only if there is no new one.
    """
    middles = np.cumsum(shares) - shares / 2
    for side in np.flatnonzero(shares):
        if side in sides:
            continue
        spare = np.bincount(sides, minlength=len(shares))[sides] > 1
        new = spare & (old < 0)
        choice = np.flatnonzero(new if new.any() else spare)
        sides[choice[np.argmin(np.abs(units.draws[choice] - middles[side]))]] = side
    return sides
