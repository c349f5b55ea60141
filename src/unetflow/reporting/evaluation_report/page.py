"""The page itself: what is known goes into the template, in the order in which people need it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import Label
from unetflow.data.samples import Sample
from unetflow.reporting.data_report import tables as data_tables
from unetflow.reporting.evaluation_report import charts, tables
from unetflow.reporting.evaluation_report.advice import advise
from unetflow.reporting.evaluation_report.error_pictures import ErrorPicture, compare
from unetflow.reporting.evaluation_report.evaluation import (
    MAIN,
    Evaluation,
    choose_images,
    describe_scored,
)
from unetflow.reporting.html.charts import Chart, to_chart
from unetflow.reporting.html.template import render

MOST_IMAGES, MOST_ROWS = 4, 50
_MOST_SIZES = 12

Predict = Callable[[NDArray[np.generic]], Label]


def write_evaluation_report(
    evaluation: Evaluation,
    card: Mapping[str, Any],
    parameters: Mapping[str, Any],
    samples: Mapping[str, Sample],
    predict: Predict,
    title: str,
) -> str:
    """Write the evaluation report: how good a model is, where it errs, and what to do next.

    Args:
        evaluation: What was measured.
        card: What the model is; see `describe_model`.
        parameters: Every parameter of the run, nested.
        samples: The samples; only those that are shown are opened, one at a time.
        predict: Turns an image into a label of its size; called for those that are shown.
        title: The page's title.

    Returns:
        The text of an HTML page that needs no other file and no network.
    """
    main = evaluation.scores[MAIN]
    context: dict[str, Any] = {
        "title": title,
        "trained": tables.describe_training(evaluation, card),
        "main": tables.number(main["mean"]),
        "interval": tables.write_interval(main),
        "measured": evaluation.metrics["class"],
        "facts": tables.summarise(evaluation, card),
        "findings": advise(evaluation, card),
        "scores": tables.list_scores(evaluation, card["classes"]),
        "baselines": evaluation.baselines and tables.baseline_table(evaluation.baselines),
        "baselines_definition": evaluation.baselines and evaluation.baselines["definition"],
        "card": card,
        "parameters": tables.parameter_table(parameters, card),
        "groups": _show_images(evaluation, samples, predict),
        "several_classes": len(card["classes"]) > 2,
        "any_ignored": bool((evaluation.manifest["ignored"] > 0).any()),
    }
    context |= _show_curves(evaluation) | _show_errors(evaluation) | _show_lists(evaluation)
    context |= _show_data(evaluation, card)
    return render("evaluation_report.html", context)


def _show_images(
    evaluation: Evaluation, samples: Mapping[str, Sample], predict: Predict
) -> dict[str, list[ErrorPicture]]:
    scores = evaluation.image_scores.set_index("id")
    columns = [name for name in (MAIN, "precision", "recall") if name in scores]
    groups = {}
    for kind, ids in choose_images(evaluation.image_scores, MOST_IMAGES).items():
        groups[kind] = [
            compare(
                sample_id,
                samples[sample_id],
                predict,
                ", ".join(
                    f"{tables.name_score(n)} {tables.number(scores.loc[sample_id, n])}"
                    for n in columns
                ),
            )
            for sample_id in ids
        ]
    return groups


def _show_curves(evaluation: Evaluation) -> dict[str, Any]:
    history, calibration = evaluation.history, evaluation.calibration or {}
    best = evaluation.best_epoch
    threshold = evaluation.metrics["threshold"]
    learning = [
        to_chart(
            charts.draw_history(history, name, label, best["epoch"]),
            f"{label} over {len(history)} epochs: in epoch {best['epoch']:.0f}, whose weights were "
            f"kept, {best[name]:.3f} of training crops and {best[f'val_{name}']:.3f} of "
            "validation images",
        )
        for name, label in (("loss", "Loss"), (MAIN, "Dice"))
    ]
    curve = evaluation.threshold_curve
    stages = {
        stage: float(calibration[stage]["expected_calibration_error"])
        for stage in ("before", "after")
        if stage in calibration
    }
    return {
        "learning": learning,
        "threshold_chart": to_chart(
            charts.draw_threshold_curve(curve, threshold),
            "Validation Dice over the threshold; the highest is "
            f"{curve['validation_dice'].max():.3f}",
        )
        if len(curve)
        else None,
        "calibration_chart": to_chart(
            charts.draw_reliability(calibration),
            "Share of the pixels that are what is said over the predicted probability",
        )
        if stages
        else None,
        "calibration_errors": stages,
    }


def _show_errors(evaluation: Evaluation) -> dict[str, Any]:
    scored = describe_scored(evaluation.image_scores, evaluation.manifest)
    scored["megapixels"] = scored["pixels"] / 1e6
    ranking = to_chart(
        charts.draw_ranking(evaluation.image_scores), "Dice of each test image, from worst to best"
    )
    kinds: dict[str, tuple[Chart, Any]] = {}
    for name, column, label, share in (
        ("size", "megapixels", "size in megapixels", False),
        ("foreground", "foreground", "foreground share of the pixels", True),
    ):
        chart = to_chart(
            charts.draw_scores_over(scored, column, label), f"Dice of each test image over {label}"
        )
        binned = "pixels" if name == "size" else column
        kinds[name] = chart, tables.bin_table(scored, binned, share=share)
    lone_size = scored["pixels"].nunique() == 1
    return {"ranking_chart": ranking, "errors": kinds, "lone_size": lone_size}


def _show_lists(evaluation: Evaluation) -> dict[str, Any]:
    review, labels = evaluation.needs_review, evaluation.suspicious_labels
    listed = {"review": None if review is None or review.empty else review, "labels": labels}
    shown = {
        name: None if rows is None else tables.plain_table(rows, MOST_ROWS)
        for name, rows in listed.items()
    }
    more = {
        f"more_{name}": 0 if rows is None else max(0, len(rows) - MOST_ROWS)
        for name, rows in listed.items()
    }
    correlation = (evaluation.review_check or {}).get("spearman")
    return shown | more | {"review_correlation": correlation}


def _show_data(evaluation: Evaluation, card: Mapping[str, Any]) -> dict[str, Any]:
    full = data_tables.complete(evaluation.manifest, card["classes"])
    sizes = data_tables.size_table(full)
    return {
        "data_facts": data_tables.describe_images(full, card["classes"]),
        "sizes": sizes if len(sizes.rows) <= _MOST_SIZES else None,
        "split_table": data_tables.split_table(full),
        "class_table": data_tables.class_table(full, card["classes"]),
        "rules": data_tables.split_rules(full),
    }
