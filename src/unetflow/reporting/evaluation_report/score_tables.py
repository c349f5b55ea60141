"""Tables and facts of the evaluation report, as formatted text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from unetflow.reporting.evaluation_report.evaluation_results import MAIN, EvaluationResults, bin_by
from unetflow.reporting.html.elements import Table
from unetflow.reporting.html.wording import count_of, listing, percent

_NAMES = {
    "iou": "IoU",
    "cldice": "clDice",
    "hd95": "HD95",
    "roc_auc": "ROC AUC",
    "v_rand": "V-Rand",
    "v_info": "V-Info",
    "dsb_score": "DSB score",
    "otsu_dice": "Dice of Otsu's threshold",
    "background_dice": "Dice of an empty mask",
}


def name_score(name: str, classes: Sequence[str] = ()) -> str:
    """Format the name of a score: "Dice", "IoU", "Dice of nucleus"."""
    for class_name in classes:
        if name.endswith(f"_{class_name}"):
            return f"{name_score(name.removesuffix(f'_{class_name}'))} of {class_name}"
    words = name.replace("_", " ")
    return _NAMES.get(name, words[:1].upper() + words[1:])


def list_scores(results: EvaluationResults, classes: Sequence[str]) -> Sequence[tuple[str, ...]]:
    """Return name, mean, interval, range and definition of each score.

    The order is that of the metrics; scores of all pixels together come last and have only a
    value instead of the mean.
    """
    by_image = [
        (
            name_score(name, classes),
            format_value(score["mean"]),
            format_interval(score) or "not computed",
            f"{format_value(score['smallest'])} to {format_value(score['largest'])}",
            str(score["definition"]),
        )
        for name, score in results.scores.items()
    ]
    return by_image + [
        (
            f"{name_score(name, classes)} of all pixels",
            format_value(score["value"]),
            "-",
            "-",
            str(score["definition"]),
        )
        for name, score in results.metrics.get("pooled", {}).items()
    ]


def baseline_table(baselines: Mapping[str, Any]) -> Table:
    """Return the comparison of a model; see `evaluation.baselines.compare_with_baselines`."""
    rows = [
        (
            str(other["name"]),
            format_value(other["mean"]),
            f"{other['mean_difference']:+.3f}",
            format_interval(other) or "-",
            _format_p_value(other["p_value"]),
            _format_p_value(other["group_p_value"]),
        )
        for other in baselines["baselines"]
    ]
    heads = ("compared with", "its Dice", "difference", "95 % interval", "p", "p over groups")
    return Table(heads, rows)


def format_interval(score: Mapping[str, Any]) -> str:
    """Format the interval of a score: "0.912 to 0.961"; empty where it was not computed."""
    interval = score.get("interval")
    return "" if interval is None else f"{format_value(interval[0])} to {format_value(interval[1])}"


def list_score_facts(results: EvaluationResults, card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the names and values beside the main score."""
    scores = results.scores
    chosen = ["iou", "precision", "recall", "otsu_dice"]
    facts = [(name_score(n), format_value(scores[n]["mean"])) for n in chosen if n in scores]
    threshold = results.metrics["threshold"]
    worst = results.image_scores.sort_values([MAIN, "id"]).iloc[0]
    commit = card["run"]["commit"]
    return [
        *facts,
        ("Worst test image", f"{format_value(worst[MAIN])} ({worst['id']})"),
        (
            "Threshold",
            "none: the most probable class" if threshold is None else format_value(threshold),
        ),
        ("Best epoch", f"{results.best_epoch['epoch']:.0f} of {len(results.history)}"),
        ("Data", results.fingerprint.digest[:12]),
        ("Git commit", commit[:12] if commit else "unknown"),
    ]


def bin_table(scored: pd.DataFrame, column: str, *, share: bool) -> Table:
    """Return the median score of bins of images; see `bin_by`."""
    rows = [
        (
            _span(row["low"], row["high"], share=share),
            f"{row['images']:.0f}",
            format_value(row["median"]),
        )
        for row in bin_by(scored, column).to_dict("records")
    ]
    return Table(("from, to", "images", "median Dice"), rows)


def plain_table(frame: pd.DataFrame, most: int) -> Table:
    """Return the first rows of any table."""
    columns = [str(column).replace("_", " ") for column in frame.columns]
    rows = [[format_value(value) for value in row] for row in frame.head(most).to_numpy().tolist()]
    return Table(columns, rows)


def parameter_table(parameters: Mapping[str, Any], card: Mapping[str, Any]) -> Table:
    """Return every parameter as given, and as planned where that differs."""
    planned = _flatten({stage: card[stage] for stage in ("model", "training")})
    rows = []
    for name, value in _flatten(parameters).items():
        other = planned.get(name, value)
        rows.append(
            (name, _format_parameter(value), "" if other == value else _format_parameter(other))
        )
    return Table(("parameter", "given", "planned"), rows, words=3)


def _format_parameter(value: Any) -> str:
    """Format a parameter's value as YAML on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def format_value(value: Any) -> str:
    """Format floats with three decimals, and missing values as a dash."""
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return "-"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.3f}"


def describe_training(results: EvaluationResults, card: Mapping[str, Any]) -> str:
    """Return a sentence about the network, its training and its test."""
    classes = card["classes"][1:]
    images = results.fingerprint.samples["train"]
    return (
        f"A U-Net with {count_of(card['weights'], 'weight')} that finds "
        f"{listing(classes, most=len(classes))}, trained for "
        f"{count_of(len(results.history), 'epoch')} on {count_of(images, 'image')} and "
        f"tested on {count_of(len(results.image_scores), 'test image')} that it had not seen."
    )


def _flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values by their path, as in `training.epochs`."""
    row = pd.json_normalize(dict(values)).to_dict("records")[0]
    return {str(name): value for name, value in row.items()}


def _format_p_value(value: float | None) -> str:
    if value is None:
        return "-"
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _span(low: float, high: float, *, share: bool) -> str:
    first, last = (percent(v) if share else f"{v:,.0f}" for v in (low, high))
    return first if first == last else f"{first} to {last}"
