"""Nodes of `evaluation` that select images for review, draw figures and write the report."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.config.base import dump_parameters
from unetflow.config.evaluation import EvaluationParameters
from unetflow.config.parameters import Plan
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.manifest import samples_of_split
from unetflow.data.samples import SampleFolder
from unetflow.evaluation import review
from unetflow.evaluation.object_rules import describe_doubt, describe_removal
from unetflow.pipelines.stage import Figure, Segmenter
from unetflow.reporting import model_card as card
from unetflow.reporting.evaluation_charts import draw_scores_over, draw_threshold_curve
from unetflow.reporting.evaluation_report import (
    EvaluationResults,
    describe_scored,
    write_evaluation_report,
)
from unetflow.visualization.figures import draw_gallery


def map_uncertainty(
    segmenter: Segmenter,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    evaluation: EvaluationParameters,
) -> Iterator[tuple[dict[str, NDArray[np.float32]], pd.DataFrame]]:
    """Predict several views of each test image, one image at a time.

    Yields:
        The map of one image by its id, and the table of all images so far: `id`, `expected_error`
        and `disagreement`. Both are empty with 0 views.
    """
    views = evaluation.uncertainty.views
    rows: list[dict[str, Any]] = []
    columns = ["id", "expected_error", "disagreement"]
    yield {}, pd.DataFrame(columns=columns)
    tested = samples_of_split(samples, manifest, "test") if views else {}
    for sample_id, sample in tested.items():
        numbers, spread = review.assess_image(
            segmenter.predict_probabilities, segmenter.postprocessing.apply, sample, views
        )
        rows.append({"id": sample_id, **numbers})
        yield {sample_id: spread}, pd.DataFrame(rows, columns=columns)


def rank_for_review(
    image_uncertainty: pd.DataFrame, image_scores: pd.DataFrame, evaluation: EvaluationParameters
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Sort the test images by expected error, and measure its correlation with the true error."""
    views = evaluation.uncertainty.views
    dice = dict(zip(image_scores["id"], image_scores["dice"], strict=True))
    table = review.rank_for_review(image_uncertainty, dice)
    return table, review.check_expectation(table, views)


def look_for_suspicious_labels(
    segmenter: Segmenter,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    evaluation: EvaluationParameters,
) -> tuple[pd.DataFrame, Figure]:
    """List the training images whose loss is an outlier, and draw those with the largest loss."""
    training = samples_of_split(samples, manifest, "train")
    classes = segmenter.settings.classes
    losses = review.measure_losses(
        segmenter.predict_probabilities, segmenter.postprocessing.apply, training, len(classes)
    )
    suspicious = losses[losses["z_score"] > evaluation.suspicious_labels.z_score]
    files = manifest.set_index("id")["mask_file"]
    titles = review.choose_worst(losses, evaluation.gallery_images)
    worst = [review.make_specimen(title, i, training, segmenter) for i, title in titles.items()]
    listed = suspicious.assign(mask_file=files.reindex(suspicious["id"]).to_numpy())
    return listed, draw_gallery(worst, classes)


def draw_threshold(threshold_curve: pd.DataFrame, metrics: dict[str, Any]) -> Figure:
    """Draw the validation Dice over the threshold."""
    return draw_threshold_curve(threshold_curve, metrics["threshold"])


def draw_errors(image_scores: pd.DataFrame, manifest: pd.DataFrame) -> Figure:
    """Draw the Dice of each test image over its foreground fraction."""
    scored = describe_scored(image_scores, manifest)
    return draw_scores_over(scored, "foreground", "foreground fraction of the pixels")


def describe_model(
    segmenter: Segmenter,
    plan: Plan,
    fingerprint: Fingerprint,
    metrics: dict[str, Any],
    run_facts: dict[str, Any],
) -> dict[str, Any]:
    """Write the model card; see `reporting.model_card.describe_model`."""
    settings = segmenter.settings
    weights = segmenter.model.get_layer("U-Net").count_params()
    return card.describe_model(
        plan,
        fingerprint,
        settings.classes,
        settings.postprocessing.threshold,
        weights,
        metrics,
        run_facts,
        removal=describe_removal(settings.postprocessing),
        doubt=describe_doubt(settings.objects_numbered),
    )


def write_report(
    segmenter: Segmenter,
    samples: SampleFolder,
    model_card: dict[str, Any],
    parameters: dict[str, Any],
    **evaluation: Any,
) -> str:
    """Write the evaluation report as one HTML page; see `reporting.evaluation_report`.

    The images that are shown are opened and predicted; `evaluation` are the fields of
    `reporting.evaluation_report.EvaluationResults`.
    """
    return write_evaluation_report(
        EvaluationResults(**evaluation),
        model_card,
        dump_parameters(parameters),
        samples,
        segmenter.predict,
    )
