"""The evaluation report as an HTML page: quality of a model, its errors, and what to do next."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from unetflow.data.samples import Sample
from unetflow.reporting import data_tables, evaluation_charts
from unetflow.reporting.error_pictures import Predict, show_errors
from unetflow.reporting.evaluation_results import (
    MAIN,
    EvaluationResults,
    bin_by,
    choose_extremes,
    describe_scored,
)
from unetflow.reporting.html_page import PagePicture, decimals, percent, render

MOST_IMAGES, MOST_ROWS = 4, 50
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


def write_evaluation_report(
    results: EvaluationResults,
    card: Mapping[str, Any],
    parameters: Mapping[str, Any],
    samples: Mapping[str, Sample],
    predict: Predict,
) -> str:
    """Write the evaluation report.

    Args:
        results: The results of the evaluation.
        card: The model card; see `describe_model`.
        parameters: Every parameter of the run, nested.
        samples: The samples; only those that are shown are opened, one at a time.
        predict: Predicts the label of an image; called for those that are shown.

    Returns:
        The text of an HTML page that needs no other file and no network.
    """
    scored = describe_scored(results.image_scores, results.manifest)
    context = {
        "results": results,
        "card": card,
        "name_score": name_score,
        "baselines": _baseline_table(results.baselines) if results.baselines else None,
        "groups": _show_images(results, samples, predict),
        "charts": evaluation_charts,
        "scored": scored.assign(megapixels=scored["pixels"] / 1e6),
        "size_bins": _bin_table(scored, "pixels", "{:,.0f}".format),
        "foreground_bins": _bin_table(scored, "foreground", percent),
        "review": _plain_table(results.needs_review),
        "labels": _plain_table(results.suspicious_labels),
        "parameters": _parameter_table(parameters, card),
        "tables": data_tables,
        "full": data_tables.complete(results.manifest, card["classes"]),
    }
    return render("evaluation_report.html", context)


def name_score(name: str, classes: Sequence[str] = ()) -> str:
    """Format the name of a score: "Dice", "IoU", "Dice of nucleus"."""
    for class_name in classes:
        if name.endswith(f"_{class_name}"):
            return f"{name_score(name.removesuffix(f'_{class_name}'))} of {class_name}"
    words = name.replace("_", " ")
    return _NAMES.get(name, words[:1].upper() + words[1:])


def _show_images(
    results: EvaluationResults, samples: Mapping[str, Sample], predict: Predict
) -> dict[str, list[tuple[PagePicture, PagePicture]]]:
    scores = results.image_scores.set_index("id")
    columns = [name for name in (MAIN, "precision", "recall") if name in scores]
    shown: dict[str, list[tuple[PagePicture, PagePicture]]] = {}
    for kind, ids in choose_extremes(results.image_scores, MOST_IMAGES).items():
        shown[kind] = []
        for sample_id in ids:
            texts = [f"{name_score(n)} {decimals(scores.loc[sample_id, n])}" for n in columns]
            pictures = show_errors(sample_id, samples[sample_id], predict, ", ".join(texts))
            shown[kind].append(pictures)
    return shown


def _baseline_table(baselines: Mapping[str, Any]) -> pd.DataFrame:
    """Return the comparison of a model; see `evaluation.baselines.compare_with_baselines`."""
    rows = []
    for other in baselines["baselines"]:
        ends = other.get("interval")
        row = {
            "compared with": str(other["name"]),
            "its Dice": decimals(other["mean"]),
            "difference": f"{other['mean_difference']:+.3f}",
            "95 % interval": " to ".join(map(decimals, ends)) if ends else "-",
        }
        for head, name in (("p", "p_value"), ("p over groups", "group_p_value")):
            value = other[name]
            row[head] = "below 0.001" if value is not None and value < 0.001 else decimals(value)
        rows.append(row)
    return pd.DataFrame(rows)


def _bin_table(scored: pd.DataFrame, column: str, write: Callable[[float], str]) -> pd.DataFrame:
    """Return the median score of bins of images; see `bin_by`."""
    rows = []
    for low, high, images, median in bin_by(scored, column).itertuples(index=False, name=None):
        first, last = write(low), write(high)
        span = first if first == last else f"{first} to {last}"
        rows.append({"from, to": span, "images": str(images), "median Dice": decimals(median)})
    return pd.DataFrame(rows)


def _plain_table(frame: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return the first rows of any table, formatted."""
    if frame is None:
        return None
    cells = frame.head(MOST_ROWS).astype(object).map(decimals)
    return cells.set_axis([str(column).replace("_", " ") for column in frame.columns], axis=1)


def _parameter_table(parameters: Mapping[str, Any], card: Mapping[str, Any]) -> pd.DataFrame:
    """Return every parameter as given, and as planned where that differs."""
    planned = _flatten({stage: card[stage] for stage in ("model", "training")})
    rows = []
    for name, value in _flatten(parameters).items():
        other = planned.get(name, value)
        changed = "" if other == value else _format_parameter(other)
        rows.append({"parameter": name, "given": _format_parameter(value), "planned": changed})
    return pd.DataFrame(rows)


def _format_parameter(value: Any) -> str:
    """Format a parameter's value as YAML on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values by their path, as in `training.epochs`."""
    row = pd.json_normalize(dict(values)).to_dict("records")[0]
    return {str(name): value for name, value in row.items()}
