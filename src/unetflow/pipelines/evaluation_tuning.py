"""Node of `evaluation` that makes a segmenter of the trained network by tuning what follows it."""

import logging
from typing import Any

import pandas as pd

from unetflow.config.classes import Classes
from unetflow.config.evaluation import EvaluationParameters
from unetflow.config.parameters import Plan
from unetflow.core.hashing import generator_for
from unetflow.core.types import OBJECT_OUTPUTS
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.manifest import samples_of_split
from unetflow.data.samples import SampleFolder
from unetflow.evaluation.confidence_fitting import calibrate_confidence
from unetflow.evaluation.object_rules import describe_removal
from unetflow.evaluation.object_tuning import tune_objects
from unetflow.evaluation.threshold_tuning import tune_postprocessing
from unetflow.pipelines.stage import KerasModel, Segmenter

_log = logging.getLogger(__name__)


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

    The network takes raw images, and the seed draws the pixels that the temperature is fitted on;
    see `evaluation.threshold_tuning.tune_postprocessing`. Where samples number their objects, the
    separation of these is tuned, too, on training images if no validation image numbers any; see
    `evaluation.object_tuning.tune_objects`. The confidence of objects is fitted last.

    Returns:
        The segmenter; a table with the mean validation Dice at each `threshold`, empty for more
        than two classes; and the calibration before and after the temperature.
    """
    from unetflow.inference.postprocessing import Postprocessing
    from unetflow.inference.segmenter import Segmenter, SegmenterSettings
    from unetflow.models.unet import geometry_of

    names, smallest = classes.names, fingerprint.smallest_objects
    untuned = SegmenterSettings(
        classes=names,
        channels=fingerprint.channels,
        dtype=fingerprint.dtype,
        geometry=geometry_of(unet.get_layer("U-Net")),
        tile=plan.training.tile,
        postprocessing=Postprocessing.untuned(len(names)),
        seen=fingerprint.range,
        object_outputs=OBJECT_OUTPUTS[plan.model.instances],
        objects_numbered=any(d.get("has_instances") for d in samples.descriptions.values()),
    )
    segmenter = Segmenter(unet, untuned)
    validation = samples_of_split(samples, manifest, "validation")
    splits = {"validation": validation, "training": samples_of_split(samples, manifest, "train")}
    sizes = smallest.list_sizes(evaluation.max_lost_objects) if smallest else [0]
    postprocessing, curve, calibration = tune_postprocessing(
        segmenter.predict_probabilities,
        validation,
        len(names),
        evaluation,
        generator_for(seed, "calibration"),
        sizes,
    )
    segmenter = segmenter.with_postprocessing(postprocessing)
    tuned = tune_objects(segmenter, splits, sizes)
    if smallest is not None:
        tuned = tuned.model_copy(update={"removal": smallest.cost_of(tuned.min_object_size)})
    _log.info(describe_removal(tuned))
    segmenter = segmenter.with_postprocessing(tuned)
    confidence = calibrate_confidence(segmenter, validation)
    sure = tuned.model_copy(update={"confidence": confidence})
    return segmenter.with_postprocessing(sure), curve, calibration
