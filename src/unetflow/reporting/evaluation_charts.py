"""Figures of the evaluation report, narrow enough to be read on a phone."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from unetflow.evaluation.object_counts import CountTable, bin_evenly
from unetflow.visualization.figures import limit_ticks, new_figure
from unetflow.visualization.overlays import BLUE, GREEN, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAIN = "dice"
"""The score by which the images are ordered."""

_FEW_EPOCHS = 30
_GREY = "#555555"
_STAGES = {"before": (VERMILLION, "--", "s"), "after": (BLUE, "-", "o")}


def draw_history(history: pd.DataFrame, name: str, label: str, best_epoch: float) -> "Figure":
    """Draw a column of the history for training crops and for whole validation images.

    Args:
        history: With the columns `epoch`, `<name>` and `val_<name>`.
        name: The column.
        label: Label of the axis.
        best_epoch: The epoch whose weights were kept.
    """
    figure, axes = _new_axes("epoch", label)
    few = len(history) <= _FEW_EPOCHS
    for column, text, colour, style, mark in (
        (name, "training crops", BLUE, "-", "o"),
        (f"val_{name}", "validation images", VERMILLION, "--", "s"),
    ):
        look: dict[str, Any] = {"color": colour, "ls": style, "marker": mark if few else None}
        axes.plot(history["epoch"], history[column], label=text, ms=4, **look)
    axes.axvline(best_epoch, color=_GREY, ls=":", label="kept weights")
    limit_ticks(axes.xaxis, integer=True)
    axes.legend(fontsize=8)
    return figure


def draw_threshold_curve(curve: pd.DataFrame, threshold: float | None) -> "Figure":
    """Draw the validation Dice over the threshold, with the chosen threshold."""
    figure, axes = _new_axes("threshold of the probability", "Dice of the validation images")
    axes.plot(curve["threshold"], curve["validation_dice"], color=BLUE, label="validation images")
    if threshold is not None:
        axes.axvline(threshold, color=VERMILLION, ls="--", label=f"chosen: {threshold:.3f}")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=8)
    return figure


def draw_reliability(calibration: Mapping[str, Any]) -> "Figure":
    """Draw a reliability diagram: the observed frequency over the predicted probability.

    Args:
        calibration: See `evaluation.calibration.describe_calibration`.
    """
    figure, axes = _new_axes("predicted probability", "observed frequency")
    axes.plot((0, 1), (0, 1), color=_GREY, ls=":", label="perfect")
    for stage, (colour, style, mark) in _STAGES.items():
        if stage in calibration:
            bins = [row for row in calibration[stage]["bins"] if row["pixels"]]
            stated, true = ([row[k] for row in bins] for k in ("mean_probability", "share_true"))
            look: dict[str, Any] = {"color": colour, "ls": style, "marker": mark, "ms": 4}
            axes.plot(stated, true, label=f"{stage} calibration", **look)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=8)
    return figure


def draw_scores_over(scored: pd.DataFrame, column: str, label: str) -> "Figure":
    """Draw the Dice of each image over one of its columns, and the medians of bins.

    Args:
        scored: With `dice` and the column.
        column: The column of the horizontal axis.
        label: Label of that axis.
    """
    figure, axes = _new_axes(label, "Dice of a test image")
    axes.scatter(scored[column], scored[MAIN], 18, BLUE, alpha=0.8, label="an image")
    bins = bin_by(scored, column)
    middles = (bins["low"] + bins["high"]) / 2
    axes.hlines(bins["median"], bins["low"], bins["high"], color=VERMILLION, lw=2)
    axes.plot(middles, bins["median"], "D", color=VERMILLION, ms=5, label="median of a bin")
    axes.set(ylim=(-0.03, 1.03))
    limit_ticks(axes.xaxis, 6)
    axes.legend(fontsize=8)
    return figure


def draw_counts(image_scores: pd.DataFrame) -> "Figure":
    """Draw the found over the true objects of each image that numbers its objects."""
    counts = CountTable.of(image_scores)
    true, found = counts.true_in_images, counts.found.sum(axis=1)
    figure, axes = _new_axes("true objects in a test image", "found objects")
    most = max(int(true.max(initial=1)), int(found.max(initial=1)))
    axes.plot((0, most), (0, most), color=_GREY, ls=":", label="as many as there are")
    axes.scatter(true, found, 18, BLUE, alpha=0.8, label="an image")
    for axis in (axes.xaxis, axes.yaxis):
        limit_ticks(axis, 6, integer=True)
    axes.legend(fontsize=8)
    return figure


def draw_confidence(check: Mapping[str, Any]) -> "Figure":
    """Draw which fraction of the objects is true over their confidence, with their numbers.

    Args:
        check: See `evaluation.confidence_check.ConfidenceCheck`.
    """
    figure, axes = _new_axes("confidence", "fraction that matches a true object")
    axes.plot((0, 1), (0, 1), color=_GREY, ls=":", label="perfect")
    bins = [part for part in check["bins"] if part["objects"]]
    stated, true = ([b[key] for b in bins] for key in ("mean_confidence", "matched_fraction"))
    axes.plot(stated, true, "o-", color=BLUE, ms=4, label="test objects, and their number")
    for part, x, y in zip(bins, stated, true, strict=True):
        place: dict[str, Any] = {"xytext": (0, 5 if y < 0.9 else -11), "ha": "center"}
        text = f"{part['objects']:,}"
        axes.annotate(text, (x, y), textcoords="offset points", fontsize=7, **place)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.legend(fontsize=8)
    return figure


def draw_ranking(image_scores: pd.DataFrame) -> "Figure":
    """Draw the Dice of all test images with foreground in ascending order."""
    figure, axes = _new_axes("test images, worst to best", "Dice")
    values = np.sort(image_scores[MAIN].dropna())
    axes.plot(np.arange(1, len(values) + 1), values, "o-", color=GREEN, ms=3, lw=1)
    axes.set(ylim=(-0.03, 1.03))
    limit_ticks(axes.xaxis, 6, integer=True)
    return figure


def bin_by(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Divide images into bins of about equal number by one of their columns; see `bin_evenly`.

    Args:
        table: With the column and the main score.
        column: What they are ordered by.

    Returns:
        For each bin `low` and `high` (its smallest and largest value), `images` and `median` (of
        the main score).
    """
    grouped = table.groupby(bin_evenly(table[column]))
    return pd.DataFrame(
        {
            "low": grouped[column].min(),
            "high": grouped[column].max(),
            "images": grouped.size(),
            "median": grouped[MAIN].median(),
        }
    ).reset_index(drop=True)


def _new_axes(across: str, up: str) -> "tuple[Figure, Axes]":
    figure = new_figure(4.6, 3.2)
    axes = figure.subplots()
    axes.set(xlabel=across, ylabel=up)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes
