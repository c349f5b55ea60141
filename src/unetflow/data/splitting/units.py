"""What goes to one side as a whole: a group, or a sample of a group that may be divided."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.io.file_listing import natural_order


@dataclass(frozen=True)
class Units:
    """Units by number, in natural order.

    Attributes:
        of_row: The number of each sample's unit.
        sizes: How many samples each unit has.
        draws: A number in [0, 1) for each unit, drawn from the seed and its group's name alone.
        strata: For each unit the number of its stratum.
    """

    of_row: NDArray[np.intp]
    sizes: NDArray[np.intp]
    draws: NDArray[np.float64]
    strata: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.sizes)

    def part(self, rows: NDArray[np.bool_]) -> tuple["Units", NDArray[np.intp]]:
        """Return the units of some samples, numbered anew, and the unit of each such sample."""
        present, of_row = np.unique(self.of_row[rows], return_inverse=True)
        sizes = np.bincount(of_row, minlength=len(present))
        return Units(of_row, sizes, self.draws[present], self.strata[present]), of_row


def make_units(
    samples: pd.DataFrame,
    groups: list[str],
    divided: Collection[str],
    seed: int,
    *,
    stratified: bool,
) -> Units:
    """Make units of samples.

    Args:
        samples: In natural order, with the columns `id` and `foreground`.
        groups: The name of each sample's group.
        divided: The groups that may be divided. If all may, the samples keep their order, else
            the groups follow each other in natural order.
        seed: What the drawn numbers depend on.
        stratified: Whether units differ in their stratum: none, little, more and much foreground.

    Returns:
        The units.
    """
    names = sorted(set(groups), key=natural_order)
    rank = {name: 0 if len(divided) == len(names) else place for place, name in enumerate(names)}
    rows = sorted(range(len(groups)), key=lambda row: (rank[groups[row]], row))
    numbers: dict[tuple[str, str], int] = {}
    of_row = np.zeros(len(groups), np.intp)
    for row, identifier in zip(rows, samples["id"].iloc[rows], strict=True):
        key = (groups[row], identifier if groups[row] in divided else "")
        of_row[row] = numbers.setdefault(key, len(numbers))
    sizes = np.bincount(of_row, minlength=len(numbers))
    draws = np.array([_draw(f"{seed}/{group}") for group, _ in numbers], np.float64)
    strata = np.zeros(len(numbers), np.intp)
    if stratified:
        foreground = samples["foreground"].to_numpy(np.float64)
        strata = _strata(np.bincount(of_row, foreground, len(numbers)) / sizes)
    return Units(of_row, sizes, draws, strata)


def _draw(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56


def _strata(foreground: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return 0 for units without foreground, 1 to 4 for the quarters of the others."""
    strata = np.zeros(len(foreground), np.intp)
    some = foreground > 0
    if some.any():
        quartiles = np.quantile(foreground[some], [0.25, 0.5, 0.75])
        strata[some] = 1 + np.searchsorted(quartiles, foreground[some])
    return strata
