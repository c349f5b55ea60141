"""Groups of samples that must stay together, and the units in which they are assigned."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.io.file_listing import compile_pattern, natural_order

_WHERE = "ingestion.split.group"
_GROUP = r"Put brackets around what the samples of a group share, as in '(patient\d+)_'"


def name_groups(
    samples: pd.DataFrame, pattern: str | None, linked: Iterable[tuple[str, str]]
) -> list[str]:
    """Return the name of each sample's group.

    Args:
        samples: The columns `id` and `source_group`.
        pattern: A regular expression that is searched in the ids; the text that its groups
            capture, joined by "_", is the name. Without a match it is the source's group, or else
            the id.
        linked: Pairs of ids whose groups become one, named as the first in natural order.

    Raises:
        InputError: The pattern is wrong, has no group, or matches no id.
    """
    ids = samples["id"].tolist()
    name_of = {
        identifier: identifier if pd.isna(group) else str(group)
        for identifier, group in zip(ids, samples["source_group"], strict=True)
    }
    if pattern is not None and ids:
        expression = compile_pattern(pattern, _WHERE, _GROUP)
        matches = {i: match for i in ids if (match := expression.search(i))}
        if not matches:
            raise InputError(
                _WHERE, f"'{pattern}' matches no sample, for example not '{ids[0]}'", "Correct it"
            )
        name_of |= {i: "_".join(t or "" for t in match.groups()) for i, match in matches.items()}
    return _merge(name_of, linked)


def _merge(name_of: dict[str, str], linked: Iterable[tuple[str, str]]) -> list[str]:
    """Rename linked groups; pairs with an unknown id are ignored."""
    names = list(name_of.values())
    known = [pair for pair in linked if pair[0] in name_of and pair[1] in name_of]
    if not known:
        return names
    ordered = sorted(set(names), key=natural_order)
    number = {name: place for place, name in enumerate(ordered)}
    ends = np.array([[number[name_of[i]] for i in pair] for pair in known]).T
    graph = scipy.sparse.coo_array(
        (np.ones(len(known)), tuple(ends)), shape=(len(ordered), len(ordered))
    )
    _, components = scipy.sparse.csgraph.connected_components(graph, directed=False)
    _, first = np.unique(components, return_index=True)  # the first name of each component
    return [ordered[first[components[number[name]]]] for name in names]


@dataclass(frozen=True)
class Units:
    """Numbered units in natural order."""

    of_row: NDArray[np.intp]  # number of each sample's unit
    sizes: NDArray[np.intp]  # number of samples of each unit
    draws: NDArray[np.float64]  # in [0, 1) for each unit, from the seed and its group's name alone
    strata: NDArray[np.intp]  # number of each unit's stratum

    def __len__(self) -> int:
        return len(self.sizes)

    def part(self, rows: NDArray[np.bool_]) -> "Units":
        """Return the units of some samples, renumbered."""
        present, of_row = np.unique(self.of_row[rows], return_inverse=True)
        sizes = np.bincount(of_row, minlength=len(present))
        return Units(of_row, sizes, self.draws[present], self.strata[present])


def make_units(
    samples: pd.DataFrame,
    groups: list[str],
    divided: Collection[str],
    seed: int,
    *,
    stratified: bool,
) -> Units:
    """Return the units of samples in natural order, with the columns `id` and `foreground`.

    Some groups may be divided. If these are all, the samples keep their order; otherwise the groups
    follow each other in natural order. The strata are quarters by foreground if `stratified`;
    otherwise there is only one. The seed is that of the drawn numbers.
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
