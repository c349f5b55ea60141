"""Comparison of trainings as an HTML page: parameters, curves, scores and single images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from unetflow.core.errors import InputError
from unetflow.core.types import Label
from unetflow.data.samples import Sample
from unetflow.evaluation.charged import is_count
from unetflow.evaluation.comparison import compare_tables, count_common
from unetflow.evaluation.significance import PairedTest, compare_paired
from unetflow.reporting.html_page import PagePicture, render
from unetflow.visualization.figures import limit_ticks, new_figure
from unetflow.visualization.overlays import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PREDICTION_COLOUR,
    PURPLE,
    TRUTH_COLOUR,
    VERMILLION,
    Rgb,
    draw_label,
    fit_shape,
    shrink_sample,
    to_address,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_DISPUTED = 8
_MAIN_SCORE = "dice"
_SHORT = 12
_EDGE = 260
_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, BLACK)
_STYLES = ("-", "--", "-.", ":")
_PANELS = {"val_dice": "validation Dice", "loss": "training loss"}

Segment = Callable[[NDArray[np.generic]], Label]


@dataclass(frozen=True)
class TrackedRun:
    """Tracked run of an evaluated training.

    Attributes:
        id: The run's id.
        name: The run's name, for example `training`.
        started: Time of its start, in ISO 8601 with the time zone.
        parameters: Each parameter by its path, as in `training.epochs`.
        tags: Tags, for example `data_digest` and `preset`.
        history: A row for each epoch, with the columns of `history.csv`.
        image_scores: A row for each test image, with the columns of `image_scores.csv`.
        metrics: The content of `metrics.json`.
        load_segment: Loads the run's segmenter and returns its function from image to label; None
            where the run has no model.
    """

    id: str
    name: str
    started: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    history: pd.DataFrame
    image_scores: pd.DataFrame
    metrics: Mapping[str, object]
    load_segment: Callable[[], Segment] | None = None


def write_comparison(
    runs: Sequence[TrackedRun], samples: Mapping[str, Sample], classes: Sequence[str]
) -> str:
    """Write the comparison of trainings.

    Args:
        runs: Two or more trainings; the others are compared with the first.
        samples: The samples; only those that are shown are opened. Test images that are no longer
            among them have no picture.
        classes: The names of the classes, the background first.

    Returns:
        The text of an HTML page that needs no other file and no network.

    Raises:
        InputError: There are fewer than two runs, or one occurs twice.
    """
    labels = label_runs(runs)
    aligned = align_scores(runs, _MAIN_SCORE)
    tables = [run.image_scores for run in runs]
    name, tests = compare_tables(tables)
    disputed = choose_disputed(aligned, MOST_DISPUTED)
    context: dict[str, Any] = {
        "labels": labels,
        "runs": _run_table(runs, labels),
        "same_data": same_data(runs),
        "images": count_common(tables),
        "tested": max(len(run.image_scores) for run in runs),
        "main_score": name,
        "main_tests": dict(zip(labels[1:], tests, strict=True)) if tests else {},
        "differences": find_differences(runs),
        "curves": draw_curves(runs, labels) if any(len(run.history) for run in runs) else None,
        "scores": _score_table(runs, labels),
        "disputed": len(disputed),
        "pictures": _show_disputed(runs, samples, aligned.loc[disputed], len(classes)),
        "two_classes": len(classes) == 2,
    }
    return render("comparison.html", context)


def label_runs(runs: Sequence[TrackedRun]) -> list[str]:
    """Return a label for each run: the first characters of its id, at least 8.

    Raises:
        InputError: There are fewer than two runs, or one occurs twice.
    """
    fix = "Give the ids of two or more runs, as in --params runs=ID+ID"
    if len(runs) < 2:
        raise InputError(
            "runs", f"there is {len(runs)} evaluated training, and two are needed", fix
        )
    ids = [run.id for run in runs]
    if len(set(ids)) < len(ids):
        raise InputError("runs", "the same run occurs twice", fix)
    length = 8
    while len({run_id[:length] for run_id in ids}) < len(ids):
        length += 1
    return [run_id[:length] for run_id in ids]


def find_differences(runs: Sequence[TrackedRun]) -> pd.DataFrame:
    """Return the parameters in which runs differ.

    Returns:
        A row for each such parameter, in alphabetical order, with the column `parameter` and a
        column for each run, named by `label_runs`; "-" where a run has no such parameter.
    """
    parameters = zip(label_runs(runs), (dict(run.parameters) for run in runs), strict=True)
    table = pd.DataFrame(dict(parameters)).fillna("-").sort_index().rename_axis("parameter")
    return table[table.nunique(axis="columns") > 1].reset_index()


def align_scores(runs: Sequence[TrackedRun], score: str) -> pd.DataFrame:
    """Return a score, which is a column of `image_scores`, of the images that all runs have scored.

    Returns:
        A row for each such image in the first run's order, with its id as index and the runs as
        columns, named by `label_runs`.
    """
    columns = {}
    for label, run in zip(label_runs(runs), runs, strict=True):
        table = run.image_scores.set_index("id")
        columns[label] = table[score] if score in table else pd.Series(dtype=float)
    aligned = pd.concat(columns, axis="columns", join="inner").dropna()
    return aligned.loc[[i for i in runs[0].image_scores["id"] if i in aligned.index]]


def choose_disputed(aligned: pd.DataFrame, most: int) -> list[str]:
    """Return the ids of at most `most` images on which runs differ, the largest difference first.

    The scores are those of `align_scores`; images with equal scores are left out.
    """
    spread = aligned.max(axis="columns") - aligned.min(axis="columns")
    ordered = spread[spread > 0].sort_values(ascending=False, kind="stable")
    return [str(i) for i in ordered.index[:most]]


def same_data(runs: Sequence[TrackedRun]) -> bool | None:
    """Return whether all runs were trained on the same data; None where it is unknown."""
    digests = [run.tags.get("data_digest") for run in runs]
    return None if None in digests else len(set(digests)) == 1


def draw_curves(runs: Sequence[TrackedRun], labels: Sequence[str]) -> "Figure":
    """Draw validation Dice and training loss of each run that has them, each in its own style."""
    figure = new_figure(8.6, 3.4)
    for axes, (column, name) in zip(figure.subplots(1, 2), _PANELS.items(), strict=True):
        styles = zip(runs, labels, cycle(_COLOURS), cycle(_STYLES), strict=False)
        for run, label, colour, style in styles:
            history = run.history
            if {"epoch", column} <= set(history.columns):
                look = {"color": colour, "ls": style, "label": label}
                mark = "o" if len(history) == 1 else None  # a single epoch makes no line
                axes.plot(history["epoch"], history[column], marker=mark, **look)
        axes.set(xlabel="epoch", ylabel=name)
        limit_ticks(axes.xaxis, integer=True)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.subplots_adjust(wspace=0.25)
    return figure


def _run_table(runs: Sequence[TrackedRun], labels: Sequence[str]) -> pd.DataFrame:
    rows = []
    for label, run in zip(labels, runs, strict=True):
        threshold = run.metrics.get("threshold")
        rows.append(
            {
                "run": label,
                "name": run.name,
                "started": run.started.replace("T", " "),
                "preset": run.parameters.get("preset", run.tags.get("preset", "-")),
                "commit": run.tags.get("mlflow.source.git.commit", "-")[:_SHORT],
                "data": run.tags.get("data_digest", "-")[:_SHORT],
                "epochs": str(len(run.history) or "-"),
                "test images": str(len(run.image_scores)),
                "threshold": f"{threshold:.3f}" if isinstance(threshold, float) else "-",
            }
        )
    return pd.DataFrame(rows)


def _compare_with_first(aligned: pd.DataFrame) -> dict[str, PairedTest]:
    """Compare each run with the first; see `align_scores`."""
    first, *others = aligned.columns
    return {label: compare_paired(aligned[label], aligned[first]) for label in others}


def _score_table(runs: Sequence[TrackedRun], labels: Sequence[str]) -> pd.DataFrame:
    """Return the mean of each score, and the differences of the other runs from the first."""
    first = runs[0].image_scores
    rows = []
    for score in map(str, first.columns.drop("id")):
        if is_count(score):
            continue
        aligned = align_scores(runs, score) if is_numeric_dtype(first[score]) else pd.DataFrame()
        if aligned.empty:
            continue
        rows.append([score, str(len(aligned)), f"{aligned[labels[0]].mean():.4f}"])
        for label, paired in _compare_with_first(aligned).items():
            ends = paired.interval
            rows[-1] += [
                f"{aligned[label].mean():.4f}",
                f"{paired.mean_difference:+.4f}",
                "-" if ends is None else f"{ends[0]:+.4f} to {ends[1]:+.4f}",
                "-" if paired.p_value is None else f"{paired.p_value:.2g}",
            ]
    heads = ["score", "images", labels[0]]
    for label in labels[1:]:
        heads += [label, "difference", "95 % interval", "p"]
    return pd.DataFrame(rows, columns=heads)


def _show_disputed(
    runs: Sequence[TrackedRun], samples: Mapping[str, Sample], scores: pd.DataFrame, classes: int
) -> dict[str, list[PagePicture]]:
    """Draw scored images that there are with their truth, then with the prediction of each model.

    One model and one image are held at a time.
    """

    def draw(sample_id: str, label: Label, colour: Rgb, caption: str) -> PagePicture:
        picture, (small,) = shrink_sample(samples[sample_id], _EDGE, label)
        address = to_address(draw_label(picture, small, classes, colour))
        size = fit_shape(label.shape, _EDGE)
        return PagePicture(address, [caption], *size, f"{sample_id}, {caption}")

    shown = {
        i: [draw(i, samples[i].label, TRUTH_COLOUR, "truth")]
        for i in map(str, scores.index)
        if i in samples
    }
    for run, label in zip(runs, scores.columns, strict=True):
        if run.load_segment is None or not shown:
            continue
        segment = run.load_segment()
        for sample_id, pictures in shown.items():
            text = f"{label}: Dice {scores[label][sample_id]:.3f}"
            found = segment(samples[sample_id].image)
            pictures.append(draw(sample_id, found, PREDICTION_COLOUR, text))
    return shown
