"""The evaluation report as an HTML page."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.core.types import Label
from unetflow.data.samples import Sample
from unetflow.reporting.data_report import data_tables
from unetflow.reporting.evaluation_report import evaluation_charts, score_tables
from unetflow.reporting.evaluation_report.advice import advise
from unetflow.reporting.evaluation_report.error_pictures import show_errors
from unetflow.reporting.evaluation_report.evaluation_results import (
    MAIN,
    EvaluationResults,
    choose_extremes,
    describe_scored,
)
from unetflow.reporting.html.elements import PagePicture, to_chart
from unetflow.reporting.html.template import render

MOST_IMAGES, MOST_ROWS = 4, 50
_MOST_SIZES = 12

Predict = Callable[[NDArray[np.generic]], Label]


def write_evaluation_report(
    results: EvaluationResults,
    card: Mapping[str, Any],
    parameters: Mapping[str, Any],
    samples: Mapping[str, Sample],
    predict: Predict,
    title: str = "Evaluation report",
) -> str:
    """Write the evaluation report: quality of a model, its errors, and possible improvements.

    Args:
        results: The results of the evaluation.
        card: The model card; see `describe_model`.
        parameters: Every parameter of the run, nested.
        samples: The samples; only those that are shown are opened, one at a time.
        predict: Predicts the label of an image; called for those that are shown.
        title: Title of the page.

    Returns:
        The text of an HTML page that needs no other file and no network.
    """
    main, baselines = results.scores[MAIN], results.baselines
    context: dict[str, Any] = {
        "title": title,
        "trained": score_tables.describe_training(results, card),
        "main": score_tables.format_value(main["mean"]),
        "interval": score_tables.format_interval(main),
        "measured": results.metrics["class"],
        "facts": score_tables.list_score_facts(results, card),
        "findings": advise(results, card),
        "scores": score_tables.list_scores(results, card["classes"]),
        "baselines": baselines and score_tables.baseline_table(baselines),
        "baselines_definition": baselines and baselines["definition"],
        "card": card,
        "parameters": score_tables.parameter_table(parameters, card),
        "groups": _show_images(results, samples, predict),
        "several_classes": len(card["classes"]) > 2,
        "any_ignored": bool((results.manifest["ignored"] > 0).any()),
    }
    context |= _show_curves(results) | _show_errors(results) | _show_data(results, card)
    context |= _show_list("review", results.needs_review) | _show_list(
        "labels", results.suspicious_labels
    )
    if results.needs_review is not None and results.needs_review.empty:
        context["review"] = None
    context["review_correlation"] = (results.review_check or {}).get("spearman")
    return render("evaluation_report.html", context)


def _show_images(
    results: EvaluationResults, samples: Mapping[str, Sample], predict: Predict
) -> dict[str, list[tuple[PagePicture, PagePicture]]]:
    scores = results.image_scores.set_index("id")
    columns = [name for name in (MAIN, "precision", "recall") if name in scores]
    texts = {
        sample_id: ", ".join(
            f"{score_tables.name_score(n)} {score_tables.format_value(row[n])}" for n in columns
        )
        for sample_id, row in scores.iterrows()
    }
    return {
        kind: [show_errors(i, samples[i], predict, texts[i]) for i in ids]
        for kind, ids in choose_extremes(results.image_scores, MOST_IMAGES).items()
    }


def _show_curves(results: EvaluationResults) -> dict[str, Any]:
    history, calibration = results.history, results.calibration or {}
    best, curve = results.best_epoch, results.threshold_curve
    shown: dict[str, Any] = {
        "learning": [
            to_chart(
                evaluation_charts.draw_history(history, name, label, best["epoch"]),
                f"{label} over {len(history)} epochs: in epoch {best['epoch']:.0f}, whose weights "
                f"were kept, {best[name]:.3f} on training crops and {best[f'val_{name}']:.3f} on "
                "validation images",
            )
            for name, label in (("loss", "Loss"), (MAIN, "Dice"))
        ],
        "threshold_chart": None,
        "calibration_chart": None,
        "calibration_errors": {
            stage: float(calibration[stage]["expected_calibration_error"])
            for stage in ("before", "after")
            if stage in calibration
        },
    }
    if len(curve):
        shown["threshold_chart"] = to_chart(
            evaluation_charts.draw_threshold_curve(curve, results.metrics["threshold"]),
            f"Validation Dice over the threshold; the highest is "
            f"{curve['validation_dice'].max():.3f}",
        )
    if shown["calibration_errors"]:
        shown["calibration_chart"] = to_chart(
            evaluation_charts.draw_reliability(calibration),
            "Observed frequency over the predicted probability",
        )
    return shown


def _show_errors(results: EvaluationResults) -> dict[str, Any]:
    scored = describe_scored(results.image_scores, results.manifest)
    scored["megapixels"] = scored["pixels"] / 1e6
    foreground = "foreground fraction of the pixels"
    charts = {
        "ranking": (
            evaluation_charts.draw_ranking(results.image_scores),
            "Dice of each test image, from worst to best",
        ),
        "size": (
            evaluation_charts.draw_scores_over(scored, "megapixels", "size in megapixels"),
            "Dice of each test image over size in megapixels",
        ),
        "foreground": (
            evaluation_charts.draw_scores_over(scored, "foreground", foreground),
            f"Dice of each test image over {foreground}",
        ),
    }
    return {
        "error_charts": {name: to_chart(*chart) for name, chart in charts.items()},
        "size_bins": score_tables.bin_table(scored, "pixels", share=False),
        "foreground_bins": score_tables.bin_table(scored, "foreground", share=True),
        "same_size": scored["pixels"].nunique() == 1,
    }


def _show_list(name: str, rows: pd.DataFrame | None) -> dict[str, Any]:
    return {
        name: None if rows is None else score_tables.plain_table(rows, MOST_ROWS),
        f"more_{name}": 0 if rows is None else max(0, len(rows) - MOST_ROWS),
    }


def _show_data(results: EvaluationResults, card: Mapping[str, Any]) -> dict[str, Any]:
    full = data_tables.complete(results.manifest, card["classes"])
    sizes = data_tables.size_table(full)
    return {
        "data_facts": data_tables.describe_images(full, card["classes"]),
        "sizes": sizes if len(sizes.rows) <= _MOST_SIZES else None,
        "split_table": data_tables.split_table(full),
        "class_table": data_tables.class_table(full, card["classes"]),
        "rules": data_tables.split_rules(full),
    }
