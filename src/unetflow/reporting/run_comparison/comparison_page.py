"""The comparison of trainings as an HTML page."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from unetflow.data.samples import Sample
from unetflow.evaluation.significance import PairedTest, compare_paired
from unetflow.reporting.html.elements import DOUBTFUL, FINE, Finding, Table, to_chart, worst_first
from unetflow.reporting.html.template import render
from unetflow.reporting.html.wording import count_of
from unetflow.reporting.run_comparison.curve_charts import draw_curves
from unetflow.reporting.run_comparison.disputed_images import show_disputed
from unetflow.reporting.run_comparison.runs import (
    TrackedRun,
    align_scores,
    choose_disputed,
    find_differences,
    label_runs,
    same_data,
)

MOST_DISPUTED = 8
_MAIN_SCORE = "dice"
_LEVEL = 0.05
_SHORT = 12


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
    disputed = choose_disputed(aligned, MOST_DISPUTED)
    rows = show_disputed(runs, labels, samples, aligned.loc[disputed], len(classes))
    curves = None
    if not all(run.history.empty for run in runs):
        figure = draw_curves(runs, labels)
        curves = to_chart(figure, "Validation Dice and training loss of each run by epoch")
    context: dict[str, Any] = {
        "title": f"{count_of(len(runs), 'training')} side by side",
        "labels": labels,
        "findings": worst_first(_list_findings(runs, labels, aligned)),
        "runs": _run_table(runs, labels),
        "differences": _difference_table(runs),
        "curves": curves,
        "scores": _score_table(runs, labels),
        "images": len(aligned),
        "pictures": rows,
        "unseen": len(disputed) - len(rows),
        "two_classes": len(classes) == 2,
    }
    return render("comparison.html", context)


def _list_findings(
    runs: Sequence[TrackedRun], labels: Sequence[str], aligned: pd.DataFrame
) -> list[Finding]:
    """Return findings on whether the runs can be compared, and which one is better."""
    findings = []
    same = same_data(runs)
    if same:
        findings.append(Finding(FINE, "All runs were trained on the same data.", "", "summary"))
    else:
        text = (
            "It is unknown whether all runs were trained on the same data."
            if same is None
            else "The runs were not trained on the same data, so that not only their parameters "
            "differ."
        )
        fix = "Check whether the samples of the splits have changed."
        findings.append(Finding(DOUBTFUL, text, fix, "runs"))
    tested = max(len(run.image_scores) for run in runs)
    if len(aligned) < tested:
        text = f"Only {count_of(len(aligned), 'test image')} of {tested} were scored by all runs."
        fix = "Only these are compared; keep the split fixed to compare all."
        findings.append(Finding(DOUBTFUL, text, fix, "scores"))
    if len(aligned):
        for label in labels[1:]:
            paired = compare_paired(aligned[label], aligned[labels[0]])
            findings.append(_describe_difference(labels[0], label, paired))
    return findings


def _describe_difference(first: str, other: str, paired: PairedTest) -> Finding:
    difference = paired.mean_difference
    which = "higher" if difference > 0 else "lower"
    text = f"The mean Dice of {other} is {abs(difference):.4f} {which} than that of {first}"
    if difference == 0:
        text = f"The mean Dice of {other} and {first} is the same"
    if paired.p_value is None:
        fix = "More test images would show whether this is chance."
        return Finding(DOUBTFUL, f"{text}; too few images differ for a test.", fix, "scores")
    if paired.p_value >= _LEVEL:
        text = f"{text}, which may be chance (p = {paired.p_value:.2g})."
        return Finding(DOUBTFUL, text, "", "scores")
    return Finding(
        FINE, f"{text}, which is unlikely to be chance (p = {paired.p_value:.2g}).", "", "scores"
    )


def _run_table(runs: Sequence[TrackedRun], labels: Sequence[str]) -> Table:
    rows = []
    for label, run in zip(labels, runs, strict=True):
        threshold = run.metrics.get("threshold")
        rows.append(
            [
                label,
                run.name,
                run.started.replace("T", " "),
                run.parameters.get("preset", run.tags.get("preset", "-")),
                run.tags.get("mlflow.source.git.commit", "-")[:_SHORT],
                run.tags.get("data_digest", "-")[:_SHORT],
                str(len(run.history) or "-"),
                str(len(run.image_scores)),
                f"{threshold:.3f}" if isinstance(threshold, float) else "-",
            ]
        )
    heads = ["run", "name", "started", "preset", "commit", "data", "epochs", "test images"]
    return Table([*heads, "threshold"], rows, words=6)


def _difference_table(runs: Sequence[TrackedRun]) -> Table | None:
    table = find_differences(runs)
    if table.empty:
        return None
    return Table([str(c) for c in table.columns], table.to_numpy().tolist(), words=len(table))


def _score_table(runs: Sequence[TrackedRun], labels: Sequence[str]) -> Table | None:
    """Return the mean of each score, and the differences of the other runs from the first."""
    first = runs[0].image_scores
    rows = []
    for score in first.columns.drop("id"):
        name = str(score)
        if not is_numeric_dtype(first[name]):
            continue
        aligned = align_scores(runs, name)
        if aligned.empty:
            continue
        rows.append([name, str(len(aligned)), f"{aligned[labels[0]].mean():.4f}"])
        for label in labels[1:]:
            paired = compare_paired(aligned[label], aligned[labels[0]])
            rows[-1] += [f"{aligned[label].mean():.4f}", *_describe_pair(paired)]
    heads = ["score", "images", labels[0]]
    for label in labels[1:]:
        heads += [label, "difference", "95 % interval", "p"]
    return Table(heads, rows) if rows else None


def _describe_pair(paired: PairedTest) -> list[str]:
    interval = paired.interval
    return [
        f"{paired.mean_difference:+.4f}",
        "-" if interval is None else f"{interval[0]:+.4f} to {interval[1]:+.4f}",
        "-" if paired.p_value is None else f"{paired.p_value:.2g}",
    ]
