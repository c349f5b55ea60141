"""Test images to what the U-Net is compared with: the champion, Otsu and finding nothing."""

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
        champion: Its name and its segmenter; None: there is none.
        segmenter: The new one. A champion for other classes, channels or numbers is left out.
        samples: All samples.
        manifest: Which of them test.

    Returns:
        `model`, which is the champion's name, and the pixels' scores of each image (see
        `evaluation.scoring.score_images`); no rows where there is nothing to compare with.
    """
    nothing = pd.DataFrame(columns=["model", "id", "dice"])
    if champion is None:
        _log.info("There is no champion to compare with")
        return nothing
    name, best = champion
    theirs, ours = describe_task(best.settings), describe_task(segmenter.settings)
    if theirs != ours:
        _log.warning(
            "The champion, %s, is not compared with: it tells %s, not %s", name, theirs, ours
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
    """Score a segmenter on samples by their pixels alone; see `evaluation.score_images`."""
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
    """Say what a segmenter is for; two whose texts are the same can be compared."""
    classes = ", ".join(settings.classes)
    return f"{classes} apart in images of {settings.channels} channels in {settings.dtype}"
