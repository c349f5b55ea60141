"""Scores, curves and facts of the run to figures, the model card and the report."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from unetflow.imaging import evaluation_report
from unetflow.imaging.samples import SampleFolder
from unetflow.pipelines.types import Segmenter


def draw_threshold(threshold_curve: pd.DataFrame, metrics: dict[str, Any]) -> Figure:
    """Draw the validation Dice over the threshold."""
    return evaluation_report.draw_threshold_curve(threshold_curve, metrics["threshold"])


def draw_errors(image_scores: pd.DataFrame, manifest: pd.DataFrame) -> Figure:
    """Draw the Dice of each test image over its share of foreground."""
    scored = evaluation_report.describe_scored(image_scores, manifest)
    return evaluation_report.draw_scores_over(
        scored, "foreground", "foreground share of the pixels"
    )


def describe_model(
    segmenter: Segmenter,
    plan: dict[str, Any],
    fingerprint: dict[str, Any],
    run_facts: dict[str, Any],
) -> dict[str, Any]:
    """Write the model card; see `imaging.evaluation_report.describe_model`."""
    settings = segmenter.settings
    weights = segmenter.model.get_layer("U-Net").count_params()
    return evaluation_report.describe_model(
        plan, fingerprint, settings.classes, settings.threshold, weights, run_facts
    )


def write_report(
    segmenter: Segmenter,
    samples: SampleFolder,
    model_card: dict[str, Any],
    parameters: dict[str, Any],
    **evaluation: Any,
) -> str:
    """Write the evaluation report as one HTML page; see `imaging.evaluation_report`.

    Args:
        segmenter: Predicts the images that are shown.
        samples: All samples; those that are shown are opened.
        model_card: What `describe_model` wrote.
        parameters: Every parameter of the run.
        **evaluation: The fields of `imaging.evaluation_report.Evaluation`.
    """
    return evaluation_report.write_evaluation_report(
        evaluation_report.Evaluation(**evaluation),
        model_card,
        parameters,
        samples,
        segmenter.predict,
        "Evaluation report",
    )
