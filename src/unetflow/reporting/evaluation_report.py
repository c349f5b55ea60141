"""The evaluation report as an HTML page: quality of a model, its errors, and what to do next."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unetflow.data.fingerprint import Fingerprint
from unetflow.data.samples import Sample
from unetflow.evaluation import headline
from unetflow.evaluation.charged import YardstickComparison, count_found
from unetflow.metrics.epochs import find_best_epoch
from unetflow.reporting import data_tables, evaluation_charts, object_tables
from unetflow.reporting.advice import TrainingAdvice, advise_training
from unetflow.reporting.error_pictures import Predict, show_errors
from unetflow.reporting.evaluation_charts import MAIN, bin_by
from unetflow.reporting.html_page import PagePicture, decimals, percent, render

MOST_IMAGES, MOST_LABELS, MOST_ROWS = 4, 8, 50
_NAMES = {
    "iou": "IoU",
    "cldice": "clDice",
    "hd95": "HD95",
    "v_rand": "V-Rand",
    "v_info": "V-Info",
    "dsb_score": "DSB score",
    "otsu_dice": "Dice of Otsu's threshold",
    "background_dice": "Dice of an empty mask",
    "roc_auc": "ROC AUC of all pixels",
    "average_precision": "Average precision of all pixels",
    "pooled_dice": "Dice of all pixels together",
    "charged_dice": "Dice charged for false alarms",
    "image_sensitivity": "Sensitivity by image",
    "image_specificity": "Specificity by image",
    "image_roc_auc": "ROC AUC by image",
}


@dataclass(frozen=True)
class EvaluationResults:
    """Tables about a model and the data that it was trained and tested on.

    What is None was not computed, and its section of the page says so.

    Attributes:
        manifest: A row for each sample; see `write_data_report`.
        fingerprint: See `data.fingerprint.measure_fingerprint`.
        image_scores: A row for each test image with `id`, `dice` and any other scores.
        metrics: See `evaluation.metrics_file.Metrics`.
        threshold_curve: `threshold` and `validation_dice`; no rows where nothing is chosen.
        history: A row for each epoch with `epoch` (from 1), `loss`, `dice`, `val_loss`, `val_dice`.
        calibration: See `evaluation.calibration.describe_calibration`.
        baselines: See `evaluation.comparison.compare_with_baselines`.
        needs_review: `id`, `expected_error` and any other columns, in order of urgency; see
            `evaluation.review.rank_for_review`.
        review_check: See `evaluation.review.check_expectation`.
        suspicious_labels: `id` and any other columns, the most suspicious first.
    """

    manifest: pd.DataFrame
    fingerprint: Fingerprint
    image_scores: pd.DataFrame
    metrics: Mapping[str, Any]
    threshold_curve: pd.DataFrame
    history: pd.DataFrame
    calibration: Mapping[str, Any] | None = None
    baselines: Mapping[str, Any] | None = None
    needs_review: pd.DataFrame | None = None
    review_check: Mapping[str, Any] | None = None
    suspicious_labels: pd.DataFrame | None = None

    @property
    def scores(self) -> Mapping[str, Mapping[str, Any]]:
        """Summary of each score by its name."""
        scores: Mapping[str, Mapping[str, Any]] = self.metrics["scores"]
        return scores

    @property
    def verdict(self) -> str:
        """That the model is no better than a yardstick; empty where it is."""
        return headline.describe_verdict(self.metrics)

    @property
    def yardsticks(self) -> YardstickComparison | None:
        """What the model is compared with; None where there is no score, or none is known."""
        return headline.compare_yardsticks(self.metrics)

    @property
    def best_epoch(self) -> Mapping[str, float]:
        """The history's row of the epoch whose weights were kept."""
        row = self.history.iloc[find_best_epoch(self.history)]
        return {str(name): float(value) for name, value in row.items()}


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
        "headline": headline,
        "baselines": _baseline_table(results.baselines) if results.baselines else None,
        "groups": _show_images(results, samples, predict),
        "charts": evaluation_charts,
        "object_tables": object_tables,
        "scored": scored.assign(megapixels=scored["pixels"] / 1e6),
        "size_bins": _bin_table(scored, "pixels", "{:,.0f}".format),
        "foreground_bins": _bin_table(scored, "foreground", percent),
        "review": _plain_table(results.needs_review),
        "labels": _plain_table(results.suspicious_labels),
        "label_pictures": _show_labels(results.suspicious_labels, samples, predict),
        "advice": advise(results, card, parameters),
        "parameters": _parameter_table(parameters, card),
        "tables": data_tables,
        "full": data_tables.complete(results.manifest, card["classes"]),
    }
    return render("evaluation_report.html", context)


def describe_scored(image_scores: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the main score of images beside `height`, `width`, `pixels` and `foreground`.

    Empty images have no main score, and are left out.
    """
    known = manifest[["id", "height", "width", "foreground"]]
    scores = image_scores[["id", MAIN]].dropna(subset=MAIN)
    scored: pd.DataFrame = scores.merge(known, on="id", validate="one_to_one")
    return scored.assign(pixels=scored["height"] * scored["width"])


def choose_extremes(image_scores: pd.DataFrame, most: int) -> dict[str, list[str]]:
    """Choose the images that are shown, each once.

    Args:
        image_scores: With the columns `id` and `dice`.
        most: Largest number of images of each kind.

    Returns:
        Ids of the "worst", those around the "median", and the "best", in ascending order of their
        score, then of the empty images with the largest "false alarms". Some kinds are empty where
        there are fewer than three images with foreground, or no false alarms.
    """
    ids = image_scores.dropna(subset=MAIN).sort_values([MAIN, "id"])["id"].tolist()
    number = min(most, max(1, len(ids) // 3))
    worst, rest = ids[:number], ids[number:]
    best = rest[-number:]
    middle = rest[: len(rest) - len(best)]
    first = max(0, (len(middle) - number) // 2)
    empty = image_scores[image_scores[MAIN].isna()]
    found = count_found(empty)
    order = [i for i in np.argsort(-found, kind="stable") if found[i]][:most]
    return {
        "worst": worst,
        "median": middle[first : first + number],
        "best": best,
        "false alarms": empty["id"].iloc[order].tolist(),
    }


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
            if kind == "false alarms":
                texts = [f"empty, but {count_found(scores.loc[[sample_id]])[0]:,} pixels found"]
            pictures = show_errors(sample_id, samples[sample_id], predict, ", ".join(texts))
            shown[kind].append(pictures)
    return shown


def advise(
    results: EvaluationResults, card: Mapping[str, Any], parameters: Mapping[str, Any]
) -> TrainingAdvice:
    """Read what the advice depends on; see `write_evaluation_report` for the arguments."""
    return advise_training(
        results.history,
        results.fingerprint.samples,
        results.scores.get("dice", {}).get("interval"),
        card["training"],
        parameters,
    )


def _show_labels(
    suspicious: pd.DataFrame | None, samples: Mapping[str, Sample], predict: Predict
) -> list[tuple[PagePicture, PagePicture]]:
    """Show the most suspicious masks beside the predictions."""
    ids = [] if suspicious is None else suspicious["id"].head(MOST_LABELS).tolist()
    return [show_errors(i, samples[i], predict, "training image") for i in ids if i in samples]


def _baseline_table(baselines: Mapping[str, Any]) -> pd.DataFrame:
    """Return the comparison of a model; see `evaluation.comparison.compare_with_baselines`."""
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
