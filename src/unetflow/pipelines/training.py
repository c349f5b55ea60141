"""The stage `training`: untrained U-Net and samples -> weight maps, trained U-Net and history."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from kedro.pipeline import Pipeline

from unetflow.augmentation.batches import fixed_crops
from unetflow.augmentation.object_targets import ObjectTargetFolder, update_object_targets
from unetflow.augmentation.policy import Augmenter
from unetflow.augmentation.weight_map import WeightFolder, list_class_weights, update_weight_maps
from unetflow.config.classes import Classes
from unetflow.config.parameters import Plan
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE, OBJECT_OUTPUTS, Identity
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.manifest import digest_training, samples_of_split
from unetflow.data.samples import Sample, SampleFolder, spread_evenly
from unetflow.pipelines.stage import Figure, KerasModel, TrainingListeners, node, stage
from unetflow.training.saved_states import CheckpointFolder
from unetflow.visualization.figures import draw_learning_curve

_log = logging.getLogger(__name__)


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage(
        "training",
        node(
            compute_weight_maps,
            ["samples", "manifest", "fingerprint", "params:classes", "plan", "weight_maps_before"],
            "weight_maps",
        ),
        node(
            compute_object_targets,
            ["samples", "manifest", "plan", "object_targets_before"],
            "object_targets",
        ),
        node(
            train_unet,
            [
                "unet_untrained",
                "samples",
                "manifest",
                "fingerprint",
                "augmentation_policy",
                "weight_maps",
                "object_targets",
                "plan",
                "params:seed",
                "training_log",
                "checkpoints",
            ],
            ["unet", "history"],
        ),
        node(plot_history, "history", "learning_curve"),
    )


def compute_weight_maps(
    samples: SampleFolder,
    manifest: pd.DataFrame,
    fingerprint: Fingerprint,
    classes: Classes,
    plan: Plan,
    weight_maps_before: WeightFolder,
) -> WeightFolder:
    """Compute the weight maps of the training samples, unless they are there from before.

    Where the plan asks for none, there are none; those of another preset stay on disk.
    """
    maps = WeightFolder(weight_maps_before.folder)
    wanted = plan.training.weight_map
    training = samples_of_split(samples, manifest, "train")
    if wanted is None:  # another preset may want the maps of before again
        return maps
    weights = list_class_weights(plan.training, fingerprint) or [1.0] * len(classes)
    weight_of = dict(zip(classes.names, weights, strict=True))
    computed = update_weight_maps(maps, training, wanted, weight_of)
    _log.info("Computed %d of %d weight maps; the others are as before", computed, len(training))
    return WeightFolder(maps.folder, list(training))


def compute_object_targets(
    samples: SampleFolder,
    manifest: pd.DataFrame,
    plan: Plan,
    object_targets_before: ObjectTargetFolder,
) -> ObjectTargetFolder:
    """Compute what the network learns about objects, unless it is there from before.

    Where the plan's network has no outputs for objects, there are none.
    """
    targets = ObjectTargetFolder(object_targets_before.folder)
    outputs = OBJECT_OUTPUTS[plan.model.instances]
    if not outputs:
        return targets
    training = samples_of_split(samples, manifest, "train")
    computed = update_object_targets(targets, training, outputs)
    message = "Computed the objects' targets of %d of %d images; the others are as before"
    _log.info(message, computed, len(training))
    return ObjectTargetFolder(targets.folder, list(training))


def train_unet(
    unet: KerasModel,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    fingerprint: Fingerprint,
    policy: list[dict[str, Any]],
    weight_maps: WeightFolder,
    object_targets: ObjectTargetFolder,
    plan: Plan,
    seed: int,
    listeners: TrainingListeners,
    checkpoints: CheckpointFolder | None,
) -> tuple[KerasModel, pd.DataFrame]:
    """Train on random, augmented crops; validate on whole images.

    The fingerprint fixes the scaling of the intensities and balances the classes. `checkpoints` may
    hold the state of the same training, which is then resumed; None saves no state.

    Returns:
        The U-Net with the weights of its best epoch and with the scaling of raw images in front,
        and the history (see `training.fit.fit`).

    Raises:
        InputError: Crops that should have been overfitted were not.
    """
    from unetflow.models.unet import geometry_of, with_preprocessing, without_deep_supervision
    from unetflow.training.fit import fit
    from unetflow.training.machine import settle_training

    stored = samples_of_split(samples, manifest, "train")
    has_maps = bool(weight_maps or object_targets)
    training: Mapping[str, Sample] = (
        stored.with_maps(weight_maps, object_targets) if has_maps else stored
    )
    settings = settle_training(plan, fingerprint)
    validation: Mapping[str, Sample] = _choose_scored(
        samples_of_split(samples, manifest, "validation"), settings.validation_images
    )
    if settings.overfit_crops:
        training = validation = fixed_crops(training, settings, geometry_of(unet).shrink, seed)
        _require_foreground(training)
        policy = []
    _log.info("Training in %s", settings.precision)
    checkpoint = None
    if checkpoints is not None:
        checkpoint = checkpoints.of(_identify(unet, manifest, policy, plan, seed))
    history = fit(
        unet,
        training,
        validation,
        fingerprint.intensity,
        Augmenter(policy),
        settings,
        listeners,
        checkpoint,
        seed=seed,
    )
    if settings.overfit_crops:
        _check_overfitting(history, len(training))
    return with_preprocessing(without_deep_supervision(unet), fingerprint.intensity), history


def _choose_scored(validation: SampleFolder, number: int | None) -> SampleFolder:
    """Return the validation samples that score the epochs: all, or some, evenly chosen."""
    if number is None or number >= len(validation):
        return validation
    _log.info(
        "Each epoch is scored on the same %d of %d validation images", number, len(validation)
    )
    return validation.select(spread_evenly(validation, number))


def plot_history(history: pd.DataFrame) -> Figure:
    """Draw the learning curves."""
    return draw_learning_curve(history)


def _identify(
    unet: KerasModel,
    manifest: pd.DataFrame,
    policy: list[dict[str, Any]],
    plan: Plan,
    seed: int,
) -> Identity:
    """Return all that a training's result depends on."""
    from unetflow.models.keras_io import digest_weights
    from unetflow.training.fused_layers import WAY_OF_TRAINING
    from unetflow.training.machine import choose_precision

    parameters = {  # a plan also says what it predicts
        f"{section}.{name}": value
        for section, values in plan.model_dump(include={"model", "training"}).items()
        for name, value in values.items()
        if name not in ("workers", "processes")  # which change nothing
    }
    precision = choose_precision(plan.training.precision, plan.model.base_filters)
    return {
        "the data, their masks or their split": digest_training(manifest),
        "the initial weights": digest_weights(unet),
        "the augmentation": policy,
        "how this version trains": WAY_OF_TRAINING,
        "seed": seed,
        **parameters,
        "training.precision": precision,
    }


def _require_foreground(crops: Mapping[str, Sample]) -> None:
    if not any(np.isin(crop.label, (0, IGNORE), invert=True).any() for crop in crops.values()):
        raise InputError(
            "training.overfit_crops",
            "the training images that the crops come from hold no foreground to learn",
            "Take more crops, or check the values in `classes`",
        )


def _check_overfitting(history: pd.DataFrame, crops: int) -> None:
    """Report whether a few crops have been overfitted, as any network that works can do."""
    from unetflow.training.fit import OVERFIT_DICE

    best = history["dice"].max()
    if best > OVERFIT_DICE:
        message = (
            "Overfitted %d crops: Dice %.3f in the steps of epoch %d, and so far %.3f in a "
            "prediction, for which batch normalisation takes longer to settle"
        )
        _log.info(message, crops, best, len(history), history["val_dice"].max())
        return
    raise InputError(
        "training.overfit_crops",
        f"after {len(history)} epochs the Dice of the {crops} crops is {best:.3f}, not above "
        f"{OVERFIT_DICE}: something keeps the network from learning",
        "Check whether the masks fit the images in the data report, then "
        "training.learning_rate, training.loss and training.class_weights",
    )
