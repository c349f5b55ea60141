"""The stage `evaluation`: trained U-Net and held-out samples -> segmenter, scores and reports."""

import logging
from collections.abc import Sequence
from typing import Any

import pandas as pd
from kedro.pipeline import Node, Pipeline

from unetflow.config.evaluation import EvaluationParameters, ScoreParameters
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.manifest import samples_of_split
from unetflow.data.samples import SampleFolder
from unetflow.evaluation.comparison import compare_with_baselines
from unetflow.evaluation.review import choose_specimens, make_specimen
from unetflow.evaluation.scoring import choose_otsu_side, score_images
from unetflow.evaluation.summary import Conditions, summarise_scores
from unetflow.pipelines import evaluation_review as review
from unetflow.pipelines.evaluation_tuning import finish_segmenter
from unetflow.pipelines.stage import Figure, Segmenter, SegmenterSettings, node, stage
from unetflow.visualization.figures import draw_gallery

_log = logging.getLogger(__name__)


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage("evaluation", *_score(), *_review(), *_report())


def _score() -> list[Node]:
    """Return the nodes that compute scores."""
    scores = ["image_scores", "pooled_scores", "object_scores"]
    return [
        node(
            finish_segmenter,
            [
                "unet",
                "samples",
                "manifest",
                "fingerprint",
                "params:classes",
                "params:evaluation",
                "plan",
                "params:seed",
            ],
            ["segmenter", "threshold_curve", "calibration"],
        ),
        node(
            score_test_images,
            ["segmenter", "samples", "manifest", "params:evaluation"],
            scores,
        ),
        node(
            summarise,
            [*scores, "segmenter", "manifest", "params:evaluation", "params:seed"],
            "metrics",
        ),
        node(
            show_gallery, ["segmenter", "samples", "image_scores", "params:evaluation"], "gallery"
        ),
        node(score_champion, ["champion", "segmenter", "samples", "manifest"], "champion_scores"),
        node(
            compare,
            ["image_scores", "champion_scores", "manifest", "params:seed"],
            "baseline_comparison",
            "compare_with_baselines",
        ),
    ]


def _review() -> list[Node]:
    """Return the nodes that select images for review."""
    inputs = ["segmenter", "samples", "manifest", "params:evaluation"]
    suspicious = ["suspicious_labels", "suspicious_labels_gallery"]
    return [
        node(review.map_uncertainty, inputs, ["uncertainty_maps", "image_uncertainty"]),
        node(
            review.rank_for_review,
            ["image_uncertainty", "image_scores", "params:evaluation"],
            ["needs_review", "review_check"],
        ),
        node(review.look_for_suspicious_labels, inputs, suspicious),
    ]


def _report() -> list[Node]:
    """Return the nodes that draw and write reports."""
    reported = [
        "segmenter",
        "samples",
        "model_card",
        "parameters",
        "manifest",
        "fingerprint",
        "image_scores",
        "metrics",
        "threshold_curve",
        "history",
        "calibration",
        "baselines",
        "needs_review",
        "review_check",
        "suspicious_labels",
    ]
    named = {name: name for name in reported} | {"baselines": "baseline_comparison"}
    return [
        node(review.draw_threshold, ["threshold_curve", "metrics"], "threshold_drawing"),
        node(review.draw_errors, ["image_scores", "manifest"], "errors_drawing"),
        node(
            review.describe_model,
            ["segmenter", "plan", "fingerprint", "metrics", "run_facts"],
            "model_card",
        ),
        node(review.write_report, named, "report"),
    ]


def score_test_images(
    segmenter: Segmenter,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    evaluation: EvaluationParameters,
) -> tuple[pd.DataFrame, dict[str, Any], pd.DataFrame]:
    """Score the segmenter and Otsu's threshold on the test images; validation chooses its side.

    Returns:
        The scores of each image, of all pixels together, and of each found object; see
        `evaluation.scoring.score_images`.
    """
    classes, confidence = segmenter.settings.classes, segmenter.postprocessing.confidence
    validation = samples_of_split(samples, manifest, "validation")
    test = samples_of_split(samples, manifest, "test")
    return score_images(
        segmenter.segment,
        test,
        classes,
        evaluation,
        objects_of=test.instances,
        otsu_bright=choose_otsu_side(validation) if len(classes) == 2 else None,
        truth_of_objects="objects" if confidence is None else confidence.truth,
    )


def summarise(
    image_scores: pd.DataFrame,
    pooled_scores: dict[str, Any],
    object_scores: pd.DataFrame,
    segmenter: Segmenter,
    manifest: pd.DataFrame,
    evaluation: EvaluationParameters,
    seed: int,
) -> dict[str, Any]:
    """Summarise the scores; see `evaluation.metrics_file.Metrics`."""
    known = segmenter.settings
    conditions = Conditions(
        known.classes,
        known.postprocessing,
        evaluation,
        groups=find_groups(manifest, image_scores),
        seed=seed,
    )
    metrics = summarise_scores(image_scores, pooled_scores, conditions, object_scores)
    return metrics.model_dump(mode="json")


def show_gallery(
    segmenter: Segmenter,
    samples: SampleFolder,
    image_scores: pd.DataFrame,
    evaluation: EvaluationParameters,
) -> Figure:
    """Draw the test images with the lowest and the highest Dice, then the largest false alarms."""
    titles = choose_specimens(image_scores, evaluation.gallery_images)
    specimens = [make_specimen(title, i, samples, segmenter) for i, title in titles.items()]
    return draw_gallery(specimens, segmenter.settings.classes)


def score_champion(
    champion: tuple[str, Segmenter] | None,
    segmenter: Segmenter,
    samples: SampleFolder,
    manifest: pd.DataFrame,
) -> pd.DataFrame:
    """Score the registry's champion, if there is one for the same task, on the test images.

    Returns:
        `model`, the champion's name, and the pixel scores of each image (see
        `evaluation.scoring.score_images`); no rows without a champion to compare with.
    """
    nothing = pd.DataFrame(columns=["model", "id", "dice"])
    if champion is None:
        _log.info("There is no champion to compare with")
        return nothing
    name, best = champion
    theirs, ours = (describe_task(s.settings.classes, s.settings) for s in (best, segmenter))
    if theirs != ours:
        message = "The champion, %s, is not compared: it separates %s, not %s"
        _log.warning(message, name, theirs, ours)
        return nothing
    scores = score_pixels(best, samples_of_split(samples, manifest, "test"))
    scores.insert(0, "model", name)
    return scores


def compare(
    image_scores: pd.DataFrame, champion_scores: pd.DataFrame, manifest: pd.DataFrame, seed: int
) -> dict[str, Any]:
    """Compare the scores of the test images; see `evaluation.comparison.compare_with_baselines`."""
    groups = find_groups(manifest, image_scores)
    champion = None
    if len(champion_scores):
        champion = str(champion_scores["model"].iloc[0]), champion_scores
    return compare_with_baselines(image_scores, champion, groups, seed)


def find_groups(manifest: pd.DataFrame, scores: pd.DataFrame) -> list[str]:
    """Return the group of each image that has scores."""
    groups: list[str] = manifest.set_index("id")["group"].loc[scores["id"]].tolist()
    return groups


def score_pixels(segmenter: Segmenter, samples: SampleFolder) -> pd.DataFrame:
    """Return the pixel scores of samples; see `evaluation.scoring.score_images`."""
    scores, _, _ = score_images(
        segmenter.segment,
        samples,
        segmenter.settings.classes,
        ScoreParameters(scores=["pixels"]),
        objects_of=samples.instances,
        otsu_bright=None,
    )
    return scores


def describe_task(classes: Sequence[str], images: SegmenterSettings | Fingerprint) -> str:
    """Describe a task by its classes and images; segmenters of the same task can be compared."""
    return f"{', '.join(classes)} in images of {images.channels} channels in {images.dtype}"
