"""Pairs of samples that may show the same: leaks between the splits, then other duplicates."""

from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class SuspectPair:
    """Two samples that seem to belong together.

    Attributes:
        first: Id of one.
        second: Id of the other.
        kind: What was found, for example "identical".
        leaks: Whether they lie in different splits but must not.
        is_duplicate: Whether they seem to show the same, and do not only share a group.
        distance: Distance of their perceptual hashes; None where not measured.
        correlation: Correlation of their pixels; None where not measured.
    """

    first: str
    second: str
    kind: str
    leaks: bool
    is_duplicate: bool
    distance: float | None
    correlation: float | None


def suspect_pairs(leaks: pd.DataFrame, duplicates: pd.DataFrame) -> list[SuspectPair]:
    """Merge leaks and duplicates so that each pair of samples occurs once.

    Args:
        leaks: `kind`, `first`, `second`.
        duplicates: `first`, `second`, `kind`, `distance`, `correlation`.

    Returns:
        The leaks, with what was measured of them as duplicates, then the other duplicates.
    """
    measured = {_names(row): row for row in duplicates.to_dict("records")}
    pairs: dict[frozenset[str], SuspectPair] = {}
    rows = [(row, True) for row in leaks.to_dict("records")]
    for row, leaking in rows + [(row, False) for row in measured.values()]:
        names = _names(row)
        known = measured.get(names, {})
        pairs.setdefault(
            names,
            SuspectPair(
                row["first"],
                row["second"],
                row["kind"],
                leaks=leaking,
                is_duplicate=names in measured,
                distance=_number(known.get("distance")),
                correlation=_number(known.get("correlation")),
            ),
        )
    return list(pairs.values())


def _names(row: dict[Any, Any]) -> frozenset[str]:
    return frozenset((row["first"], row["second"]))


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
