"""The page's facts and tables, their numbers already written as people read them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from unetflow.reporting.evaluation_report.evaluation import MAIN, Evaluation, bin_by
from unetflow.reporting.html.tables import Table
from unetflow.reporting.html.wording import count_of, percent

_NAMES = {
    "iou": "IoU",
    "cldice": "clDice",
    "hd95": "HD95",
    "roc_auc": "ROC AUC",
    "v_rand": "V-Rand",
    "v_info": "V-Info",
    "dsb_score": "DSB score",
    "otsu_dice": "Dice of Otsu's threshold",
    "background_dice": "Dice of finding nothing",
}


@dataclass(frozen=True)
class Score:
    """One score of all test images.

    Attributes:
        name: As people call it.
        mean: Its mean over the images.
        interval: The ends of its 95 % interval, if it was computed.
        range: Its smallest and largest value.
        definition: How it was computed.
    """

    name: str
    mean: str
    interval: str
    range: str
    definition: str


def name_score(name: str, classes: Sequence[str] = ()) -> str:
    """Write a score's name as people do: "Dice", "IoU", "Dice of nucleus"."""
    for class_name in classes:
        if name.endswith(f"_{class_name}"):
            return f"{name_score(name.removesuffix(f'_{class_name}'))} of {class_name}"
    words = name.replace("_", " ")
    return _NAMES.get(name, words[:1].upper() + words[1:])


def list_scores(evaluation: Evaluation, classes: Sequence[str]) -> list[Score]:
    """Return all scores in the order of the metrics, those of pooled pixels last."""
    by_image = [
        Score(
            name_score(name, classes),
            number(score["mean"]),
            write_interval(score) or "not computed",
            f"{number(score['smallest'])} to {number(score['largest'])}",
            str(score["definition"]),
        )
        for name, score in evaluation.scores.items()
    ]
    pooled = [
        Score(
            f"{name_score(name, classes)}, pooled",
            number(score["value"]),
            "-",
            "-",
            str(score["definition"]),
        )
        for name, score in evaluation.metrics.get("pooled", {}).items()
    ]
    return by_image + pooled


def baseline_table(baselines: Mapping[str, Any]) -> Table:
    """Return what a model is compared with; see `baselines.compare_with_baselines`."""
    rows = [
        (
            str(other["name"]),
            number(other["mean"]),
            f"{other['mean_difference']:+.3f}",
            write_interval(other) or "-",
            _write_probability(other["p_value"]),
            _write_probability(other["group_p_value"]),
        )
        for other in baselines["baselines"]
    ]
    heads = ("compared with", "its Dice", "difference", "95 % interval", "p", "p over groups")
    return Table(heads, rows)


def write_interval(score: Mapping[str, Any]) -> str:
    """Write the interval of a score: "0.912 to 0.961"; empty where it was not computed."""
    interval = score.get("interval")
    return "" if interval is None else f"{number(interval[0])} to {number(interval[1])}"


def summarise(evaluation: Evaluation, card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what stands beside the main score."""
    scores = evaluation.scores
    chosen = ["iou", "precision", "recall", "otsu_dice"]
    facts = [(name_score(n), number(scores[n]["mean"])) for n in chosen if n in scores]
    threshold = evaluation.metrics["threshold"]
    worst = evaluation.image_scores.sort_values([MAIN, "id"]).iloc[0]
    commit = card["run"]["commit"]
    return [
        *facts,
        ("Worst test image", f"{number(worst[MAIN])} ({worst['id']})"),
        ("Threshold", "none: the most probable class" if threshold is None else number(threshold)),
        ("Best epoch", f"{evaluation.best_epoch['epoch']:.0f} of {len(evaluation.history)}"),
        ("Data", str(evaluation.fingerprint["digest"])[:12]),
        ("Git commit", commit[:12] if commit else "unknown"),
    ]


def bin_table(scored: pd.DataFrame, column: str, *, share: bool) -> Table:
    """Return the median score of bins of images; see `bin_by`."""
    rows = [
        (_span(row["low"], row["high"], share=share), f"{row['images']:.0f}", number(row["median"]))
        for row in bin_by(scored, column).to_dict("records")
    ]
    return Table(("from, to", "images", "median Dice"), rows)


def plain_table(frame: pd.DataFrame, most: int) -> Table:
    """Return the first rows of any table."""
    columns = [str(column).replace("_", " ") for column in frame.columns]
    rows = [[number(value) for value in row] for row in frame.head(most).to_numpy().tolist()]
    return Table(columns, rows)


def parameter_table(parameters: Mapping[str, Any], card: Mapping[str, Any]) -> Table:
    """Return every parameter as given, and what a plan made of it where that differs."""
    settled = _flatten({stage: card[stage] for stage in ("model", "training")})
    rows = []
    for name, value in _flatten(parameters).items():
        other = settled.get(name, value)
        rows.append((name, write_value(value), "" if other == value else write_value(other)))
    return Table(("parameter", "given", "settled by the plan"), rows, words=3)


def write_value(value: Any) -> str:
    """Write a parameter's value as it would stand in YAML on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def number(value: Any) -> str:
    """Write a number with three decimals; words stay what they are, and nothing is a dash."""
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return "-"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.3f}"


def describe_training(evaluation: Evaluation, card: Mapping[str, Any]) -> str:
    """Say in one sentence what was trained, on what, and on what it was measured."""
    found = " and ".join([", ".join(card["classes"][1:-1]), card["classes"][-1]]).removeprefix(
        " and "
    )
    images = int(evaluation.fingerprint["samples"]["train"])
    return (
        f"A U-Net with {count_of(card['weights'], 'weight')} that finds {found}, trained for "
        f"{count_of(len(evaluation.history), 'epoch')} on {count_of(images, 'image')} and "
        f"measured on {count_of(len(evaluation.image_scores), 'test image')} that it had not seen."
    )


def _flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give nested values their path as in `training.epochs`."""
    row = pd.json_normalize(dict(values)).to_dict("records")[0]
    return {str(name): value for name, value in row.items()}


def _write_probability(value: float | None) -> str:
    if value is None:
        return "-"
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _span(low: float, high: float, *, share: bool) -> str:
    first, last = (percent(v) if share else f"{v:,.0f}" for v in (low, high))
    return first if first == last else f"{first} to {last}"
