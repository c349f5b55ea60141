"""Nodes of `evaluation` that compare with baselines: champion, Otsu and empty masks."""

import logging
from typing import Any

import pandas as pd

from unetflow.config.evaluation import ScoreParameters
from unetflow.data.manifest import samples_of_split
from unetflow.data.samples import SampleFolder
from unetflow.evaluation.baselines import compare_with_baselines
from unetflow.evaluation.scoring import score_images
from unetflow.pipelines.types import Segmenter, SegmenterSettings

_log = logging.getLogger(__name__)


def score_champion(
    champion: tuple[str, Segmenter] | None,
    segmenter: Segmenter,
    samples: SampleFolder,
    manifest: pd.DataFrame,
) -> pd.DataFrame:
    """Score the registry's champion on the test images.

    Args:
        champion: Name and segmenter of the champion, if there is one.
        segmenter: The new segmenter. A champion with other classes, channels or dtype is skipped.
        samples: All samples.
        manifest: Table of the samples and their splits.

    Returns:
        `model`, the champion's name, and the pixel scores of each image (see
        `evaluation.scoring.score_images`); no rows without a champion to compare with.
    """
    nothing = pd.DataFrame(columns=["model", "id", "dice"])
    if champion is None:
        _log.info("There is no champion to compare with")
        return nothing
    name, best = champion
    theirs, ours = describe_task(best.settings), describe_task(segmenter.settings)
    if theirs != ours:
        _log.warning(
            "The champion, %s, is not compared: it separates %s, not %s", name, theirs, ours
        )
        return nothing
    scores = score_pixels(best, samples_of_split(samples, manifest, "test"))
    scores.insert(0, "model", name)
    return scores


def compare(
    image_scores: pd.DataFrame, champion_scores: pd.DataFrame, manifest: pd.DataFrame, seed: int
) -> dict[str, Any]:
    """Compare the Dice of the test images; see `evaluation.baselines.compare_with_baselines`."""
    groups = manifest.set_index("id")["group"].loc[image_scores["id"]].tolist()
    champion = None
    if len(champion_scores):
        champion = str(champion_scores["model"].iloc[0]), champion_scores
    return compare_with_baselines(image_scores, champion, groups, seed)


def score_pixels(segmenter: Segmenter, samples: SampleFolder) -> pd.DataFrame:
    """Return the pixel scores of samples; see `evaluation.scoring.score_images`."""
    scores, _ = score_images(
        segmenter.predict_probabilities,
        segmenter.postprocessing.apply,
        samples,
        segmenter.settings.classes,
        ScoreParameters(scores=["pixels"]),
        objects_of=samples.instances,
        otsu_bright=None,
    )
    return scores


def describe_task(settings: SegmenterSettings) -> str:
    """Describe the task of a segmenter; segmenters of the same task can be compared."""
    classes = ", ".join(settings.classes)
    return f"{classes} in images of {settings.channels} channels in {settings.dtype}"
