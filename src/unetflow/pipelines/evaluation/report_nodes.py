"""Nodes of `evaluation` that draw figures and write the model card and the report."""

from typing import Any

import pandas as pd

from unetflow.config.plan import Plan
from unetflow.config.validation import dump_parameters
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.samples import SampleFolder
from unetflow.pipelines.types import Figure, Segmenter
from unetflow.reporting.evaluation_report import model_card as card
from unetflow.reporting.evaluation_report.evaluation_charts import (
    draw_scores_over,
    draw_threshold_curve,
)
from unetflow.reporting.evaluation_report.evaluation_page import write_evaluation_report
from unetflow.reporting.evaluation_report.evaluation_results import (
    EvaluationResults,
    describe_scored,
)


def draw_threshold(threshold_curve: pd.DataFrame, metrics: dict[str, Any]) -> Figure:
    """Draw the validation Dice over the threshold."""
    return draw_threshold_curve(threshold_curve, metrics["threshold"])


def draw_errors(image_scores: pd.DataFrame, manifest: pd.DataFrame) -> Figure:
    """Draw the Dice of each test image over its foreground fraction."""
    scored = describe_scored(image_scores, manifest)
    return draw_scores_over(scored, "foreground", "foreground fraction of the pixels")


def describe_model(
    segmenter: Segmenter, plan: Plan, fingerprint: Fingerprint, run_facts: dict[str, Any]
) -> dict[str, Any]:
    """Write the model card; see `reporting.evaluation_report.describe_model`."""
    settings = segmenter.settings
    weights = segmenter.model.get_layer("U-Net").count_params()
    return card.describe_model(
        plan, fingerprint, settings.classes, settings.postprocessing.threshold, weights, run_facts
    )


def write_report(
    segmenter: Segmenter,
    samples: SampleFolder,
    model_card: dict[str, Any],
    parameters: dict[str, Any],
    **evaluation: Any,
) -> str:
    """Write the evaluation report as one HTML page; see `reporting.evaluation_report`.

    Args:
        segmenter: Predicts the images that are shown.
        samples: All samples; those that are shown are opened.
        model_card: What `describe_model` wrote.
        parameters: Every parameter of the run.
        **evaluation: The fields of `reporting.evaluation_report.EvaluationResults`.
    """
    return write_evaluation_report(
        EvaluationResults(**evaluation),
        model_card,
        dump_parameters(parameters),
        samples,
        segmenter.predict,
        "Evaluation report",
    )
