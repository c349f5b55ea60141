"""Nodes of `evaluation`: the finished segmenter, its scores and the gallery."""

from typing import Any

import pandas as pd

from unetflow.config.classes import Classes
from unetflow.config.evaluation import EvaluationParameters
from unetflow.config.plan import Plan
from unetflow.core.rng import generator_for
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.manifest import samples_of_split
from unetflow.data.samples import SampleFolder
from unetflow.evaluation.scoring import choose_otsu_side, score_images
from unetflow.evaluation.summary import Conditions, summarise_scores
from unetflow.evaluation.threshold_tuning import tune_postprocessing
from unetflow.pipelines.types import Figure, KerasModel, Segmenter
from unetflow.visualization.figures import Specimen, draw_gallery


def finish_segmenter(
    unet: KerasModel,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    fingerprint: Fingerprint,
    classes: Classes,
    evaluation: EvaluationParameters,
    plan: Plan,
    seed: int,
) -> tuple[Segmenter, pd.DataFrame, dict[str, Any]]:
    """Tune the postprocessing of the trained network on the validation images.

    See `evaluation.threshold_tuning.tune_postprocessing`.

    Args:
        unet: The trained U-Net that takes raw images.
        samples: All samples.
        manifest: Table of the samples and their splits.
        fingerprint: Of the data set.
        classes: The classes.
        evaluation: The parameters of the stage.
        plan: The planned parameters, for the tile.
        seed: Draws the pixels that the temperature is fitted on.

    Returns:
        The segmenter; a table with the mean validation Dice at each `threshold`, empty for more
        than two classes; and the calibration before and after the temperature.
    """
    from unetflow.inference.postprocessing import Postprocessing
    from unetflow.inference.segmenter import Segmenter, SegmenterSettings
    from unetflow.models.unet import geometry_of

    names = classes.names
    untuned = SegmenterSettings(
        classes=names,
        channels=fingerprint.channels,
        dtype=fingerprint.dtype,
        geometry=geometry_of(unet.get_layer("U-Net")),
        tile=plan.training.tile,
        postprocessing=Postprocessing.untuned(len(names)),
        seen=fingerprint.range,
    )
    segmenter = Segmenter(unet, untuned)
    tuned = tune_postprocessing(
        segmenter.predict_probabilities,
        samples_of_split(samples, manifest, "validation"),
        len(names),
        evaluation,
        generator_for(seed, "calibration"),
    )
    finished = segmenter.with_postprocessing(tuned.postprocessing)
    return finished, tuned.curve, tuned.calibration


def score_test_images(
    segmenter: Segmenter,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    evaluation: EvaluationParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score the segmenter and Otsu's threshold on the test images.

    Args:
        segmenter: The finished segmenter.
        samples: All samples.
        manifest: Table of the samples and their splits; validation images choose Otsu's side.
        evaluation: The parameters of the stage.

    Returns:
        The scores of each image, and of all pixels together; see
        `evaluation.scoring.score_images`.
    """
    classes = segmenter.settings.classes
    validation = samples_of_split(samples, manifest, "validation")
    test = samples_of_split(samples, manifest, "test")
    image_scores, pooled = score_images(
        segmenter.predict_probabilities,
        segmenter.postprocessing.apply,
        test,
        classes,
        evaluation,
        objects_of=test.instances,
        otsu_bright=choose_otsu_side(validation) if len(classes) == 2 else None,
    )
    return image_scores, pooled


def summarise(
    image_scores: pd.DataFrame,
    pooled_scores: dict[str, Any],
    segmenter: Segmenter,
    manifest: pd.DataFrame,
    evaluation: EvaluationParameters,
    seed: int,
) -> dict[str, Any]:
    """Summarise the scores; see `evaluation.summary.Metrics`."""
    known = segmenter.settings
    conditions = Conditions(
        known.classes,
        known.postprocessing,
        evaluation,
        groups=manifest.set_index("id")["group"].loc[image_scores["id"]].tolist(),
        seed=seed,
    )
    return summarise_scores(image_scores, pooled_scores, conditions).model_dump(mode="json")


def show_gallery(
    segmenter: Segmenter,
    samples: SampleFolder,
    image_scores: pd.DataFrame,
    evaluation: EvaluationParameters,
) -> Figure:
    """Draw the test images with the lowest and the highest Dice, worst first."""
    most = evaluation.gallery_images
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
