"""Samples that may show the same: leaks between the splits first, then the other duplicates."""

from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class SuspectPair:
    """Two samples that seem to belong together.

    Attributes:
        first: The id of one.
        second: The id of the other.
        kind: What was found, such as "identical".
        leaks: Whether they lie in different splits though they should not.
        is_duplicate: Whether they seem to show the same, and don't merely belong to one group.
        distance: How far their perceptual hashes are apart; None where not measured.
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
    """Put leaks and duplicates together, each two samples once.

    Args:
        leaks: `kind`, `first`, `second`.
        duplicates: `first`, `second`, `kind`, `distance`, `correlation`.

    Returns:
        The leaks, with what was measured of them as duplicates, then the other duplicates.
    """
    measured: dict[frozenset[str], dict[str, Any]] = {
        frozenset((row["first"], row["second"])): row for row in _rows(duplicates)
    }
    pairs: dict[frozenset[str], SuspectPair] = {}
    for row in _rows(leaks):
        names = frozenset((row["first"], row["second"]))
        pairs.setdefault(names, _pair(row, measured.get(names), leaks=True))
    for names, row in measured.items():
        pairs.setdefault(names, _pair(row, row, leaks=False))
    return list(pairs.values())


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _pair(row: dict[str, Any], measured: dict[str, Any] | None, *, leaks: bool) -> SuspectPair:
    return SuspectPair(
        row["first"],
        row["second"],
        row["kind"],
        leaks,
        measured is not None,
        _number((measured or {}).get("distance")),
        _number((measured or {}).get("correlation")),
    )


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
