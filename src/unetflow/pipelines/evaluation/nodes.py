"""A trained U-Net and held-out samples to scores, figures and the finished segmenter."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from unetflow.imaging.evaluation import choose_otsu_side, score_images, summarise_scores
from unetflow.imaging.figures import Specimen, draw_gallery
from unetflow.imaging.manifest import samples_of_split
from unetflow.imaging.samples import SampleFolder
from unetflow.imaging.scores import choose_threshold
from unetflow.pipelines.checks import read_parameters
from unetflow.pipelines.classes import read_classes
from unetflow.pipelines.parameters import EvaluationParameters, PlannedTraining
from unetflow.pipelines.types import KerasModel, Segmenter


def finish_segmenter(
    unet: KerasModel,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    fingerprint: dict[str, Any],
    classes: list[dict[str, Any]],
    parameters: dict[str, Any],
    plan: dict[str, Any],
) -> tuple[Segmenter, pd.DataFrame]:
    """Choose the threshold on the validation images and put it into the finished segmenter.

    More than two classes have no threshold: the most probable one is taken.

    Args:
        unet: The trained U-Net that takes raw images.
        samples: All samples.
        manifest: Which of them validate.
        fingerprint: Of the data set.
        classes: The parameter `classes`.
        parameters: The parameters of the evaluation.
        plan: The settled parameters of the training, for the tile.

    Returns:
        The segmenter, and a table with the mean validation Dice at each `threshold`, empty for
        more than two classes.
    """
    from unetflow.unet import Segmenter, geometry_of
    from unetflow.unet.segmenter import SegmenterSettings

    settings = read_parameters(EvaluationParameters, parameters, "evaluation")
    names = [c.name for c in read_classes(classes)]
    finished = SegmenterSettings(
        classes=names,
        threshold=None,
        channels=fingerprint["channels"],
        dtype=fingerprint["dtype"],
        geometry=geometry_of(unet.get_layer("U-Net")),
        tile=read_parameters(PlannedTraining, plan["training"], "training").tile,
    )
    segmenter = Segmenter(unet, finished)
    if len(names) > 2:
        return segmenter, pd.DataFrame({"threshold": [], "validation_dice": []})
    validation = samples_of_split(samples, manifest, "validation")
    candidates = np.linspace(0, 1, settings.threshold_candidates + 2)[1:-1].tolist()
    threshold, dices = choose_threshold(
        (
            (sample.label, segmenter.predict_probabilities(sample.image)[:, :, -1])
            for sample in validation.values()
        ),
        candidates,
    )
    curve = pd.DataFrame({"threshold": candidates, "validation_dice": dices})
    return segmenter.with_threshold(threshold), curve


def score_test_images(
    segmenter: Segmenter, samples: SampleFolder, manifest: pd.DataFrame
) -> pd.DataFrame:
    """Score the segmenter on the test images, of two classes beside Otsu's threshold."""
    classes = segmenter.settings.classes
    validation = samples_of_split(samples, manifest, "validation")
    return score_images(
        segmenter.predict,
        samples_of_split(samples, manifest, "test"),
        classes,
        otsu_bright=choose_otsu_side(validation) if len(classes) == 2 else None,
    )


def summarise(image_scores: pd.DataFrame, segmenter: Segmenter) -> dict[str, Any]:
    """Sum up the scores; see `imaging.evaluation.summarise_scores`."""
    settings = segmenter.settings
    return summarise_scores(image_scores, settings.classes, settings.threshold)


def show_gallery(
    segmenter: Segmenter,
    samples: SampleFolder,
    image_scores: pd.DataFrame,
    parameters: dict[str, Any],
) -> Figure:
    """Draw the test images with the lowest and the highest Dice, worst first."""
    most = read_parameters(EvaluationParameters, parameters, "evaluation").gallery_images
    ranked = image_scores.sort_values("dice", ignore_index=True)
    shown = (
        ranked
        if len(ranked) <= most
        else pd.concat([ranked.head(most - most // 2), ranked.tail(most // 2)])
    )
    specimens = [
        Specimen(
            f"{sample_id}: Dice {dice:.3f}",
            sample.image,
            sample.label,
            segmenter.predict(sample.image),
        )
        for sample_id, dice in zip(shown["id"].tolist(), shown["dice"], strict=True)
        for sample in [samples[sample_id]]
    ]
    return draw_gallery(specimens, segmenter.settings.classes)
