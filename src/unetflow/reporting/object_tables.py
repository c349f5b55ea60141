"""Tables of the evaluation report about objects: their count, and their confidence."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from unetflow.reporting.html_page import decimals


def density_table(counts: Mapping[str, Any]) -> pd.DataFrame:
    """Return the count of images with few and with many objects.

    Args:
        counts: See `evaluation.object_counts.ObjectCounts`.
    """
    rows = []
    for part in counts["by_density"]:
        low, high = part["low"], part["high"]
        span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        rows.append({"true objects in an image": span, "images": part["images"], **_row(part)})
    return pd.DataFrame(rows)


def class_table(by_class: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the count of each class; see `evaluation.object_counts.ObjectCounts`."""
    return pd.DataFrame([{"class": name, **_row(counts)} for name, counts in by_class.items()])


def confidence_table(check: Mapping[str, Any]) -> pd.DataFrame:
    """Return the reliability of the confidence, without empty bins.

    Args:
        check: See `evaluation.confidence_check.ConfidenceCheck`.
    """
    rows = [
        {
            "confidence": f"{part['low']:.1f} to {part['high']:.1f}",
            "objects": part["objects"],
            "mean confidence": decimals(part["mean_confidence"]),
            "fraction that matches": decimals(part["matched_fraction"]),
        }
        for part in check["bins"]
        if part["objects"]
    ]
    return pd.DataFrame(rows)


def show_percent(fraction: float | None, *, sign: bool = False) -> str:
    """Format a fraction as a percentage with one decimal, on request with its sign."""
    return "-" if fraction is None else f"{100 * fraction:{'+' if sign else ''}.1f} %"


def show_interval(interval: Sequence[float] | None, *, sign: bool = False) -> str:
    """Format both ends of an interval as percentages."""
    if interval is None:
        return "-"
    return " to ".join(show_percent(end, sign=sign) for end in interval)


def _row(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "true": counts["true"],
        "found": counts["found"],
        "count error": show_percent(counts["error"]),
        "95 % interval": show_interval(counts["interval"]),
        "net": show_percent(counts["net_error"], sign=True),
    }
