"""Test images to what the U-Net is compared with: the champion, Otsu and finding nothing."""

import logging
from typing import Any

import pandas as pd

from unetflow.imaging.baselines import compare_with_baselines
from unetflow.imaging.evaluation import score_images
from unetflow.imaging.manifest import samples_of_split
from unetflow.imaging.samples import SampleFolder
from unetflow.imaging.scores import ScoreSettings
from unetflow.pipelines.checks import read_parameters
from unetflow.pipelines.evaluation_parameters import EvaluationParameters
from unetflow.pipelines.types import Segmenter

_log = logging.getLogger(__name__)


def score_champion(
    champion: tuple[str, Segmenter] | None,
    segmenter: Segmenter,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    parameters: dict[str, Any],
) -> pd.DataFrame:
    """Score the registry's champion on the test images.

    Args:
        champion: Its name and its segmenter; None: there is none.
        segmenter: The new one. A champion for other classes, channels or numbers is left out.
        samples: All samples.
        manifest: Which of them test.
        parameters: The parameters of the evaluation.

    Returns:
        `model`, which is the champion's name, and the pixels' scores of each image (see
        `imaging.evaluation.score_images`); no rows where there is nothing to compare with.
    """
    nothing = pd.DataFrame(columns=["model", "id", "dice"])
    if champion is None:
        _log.info("There is no champion to compare with")
        return nothing
    name, best = champion
    before, now = best.settings, segmenter.settings
    if (before.classes, before.channels, before.dtype) != (now.classes, now.channels, now.dtype):
        _log.warning(
            "The champion, %s, is not compared with: it tells %s apart in images of %d channels "
            "in %s, not %s in %d channels in %s",
            *(name, ", ".join(before.classes), before.channels, before.dtype),
            *(", ".join(now.classes), now.channels, now.dtype),
        )
        return nothing
    settings = read_parameters(EvaluationParameters, parameters, "evaluation")
    test = samples_of_split(samples, manifest, "test")
    scores, _ = score_images(
        best.predict_probabilities,
        best.decide,
        test,
        now.classes,
        ScoreSettings(["pixels"], settings.surface_tolerance),
        objects_of=test.instances,
        otsu_bright=None,
    )
    scores.insert(0, "model", name)
    return scores


def compare(
    image_scores: pd.DataFrame, champion_scores: pd.DataFrame, manifest: pd.DataFrame, seed: int
) -> dict[str, Any]:
    """Compare the Dice of the test images; see `imaging.baselines.compare_with_baselines`."""
    groups = manifest.set_index("id")["group"].loc[image_scores["id"]].tolist()
    champion = None
    if len(champion_scores):
        champion = str(champion_scores["model"].iloc[0]), champion_scores
    return compare_with_baselines(image_scores, champion, groups, seed)
