"""Nodes of `evaluation` that select images for review: uncertain ones and suspicious labels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.config.evaluation import EvaluationParameters
from unetflow.data.manifest import samples_of_split
from unetflow.data.samples import SampleFolder
from unetflow.evaluation import uncertainty
from unetflow.evaluation.label_quality import measure_losses, show_worst
from unetflow.pipelines.types import Figure, Segmenter
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
        numbers, spread = uncertainty.assess_image(
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
    table = uncertainty.rank_for_review(image_uncertainty, dice)
    return table, uncertainty.check_expectation(table, views)


def look_for_suspicious_labels(
    segmenter: Segmenter,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    evaluation: EvaluationParameters,
) -> tuple[pd.DataFrame, Figure]:
    """List the training images whose loss is an outlier, and draw those with the largest loss."""
    training = samples_of_split(samples, manifest, "train")
    classes = segmenter.settings.classes
    losses = measure_losses(
        segmenter.predict_probabilities, segmenter.postprocessing.apply, training, len(classes)
    )
    suspicious = losses[losses["z_score"] > evaluation.suspicious_labels.z_score]
    files = manifest.set_index("id")["mask_file"]
    worst = show_worst(losses, training, segmenter.predict, evaluation.gallery_images)
    listed = suspicious.assign(mask_file=files.reindex(suspicious["id"]).to_numpy())
    return listed, draw_gallery(worst, classes)
