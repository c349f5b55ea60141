"""An untrained U-Net and samples to a trained U-Net and its history."""

import logging
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from unetflow.augmentation.class_weights import balance_classes
from unetflow.augmentation.crops import fixed_crops
from unetflow.augmentation.policy import Augmenter
from unetflow.augmentation.weight_map_store import (
    WeightedSamples,
    WeightFolder,
    WeightMapRequest,
    WeightMapRule,
    update_weight_maps,
)
from unetflow.config.classes import Classes
from unetflow.config.training import PlannedTraining
from unetflow.config.validation import read_parameters
from unetflow.core.errors import InputError
from unetflow.core.parallel import count_cores
from unetflow.core.types import IGNORE, Identity
from unetflow.data.manifest import digest_training, intensity_range, samples_of_split
from unetflow.data.samples import Sample, SampleFolder
from unetflow.pipelines.types import Figure, FitSettings, KerasModel, TrainingListeners
from unetflow.training.checkpoints import CheckpointFolder
from unetflow.visualization.figures import draw_learning_curve

_log = logging.getLogger(__name__)

_BY_HEART = 0.98
"""Dice of memorised crops above which the network can learn.

It is the one of the training steps: batch normalisation takes longer to settle than that takes.
"""


def compute_weight_maps(
    samples: SampleFolder,
    manifest: pd.DataFrame,
    fingerprint: dict[str, Any],
    classes: Classes,
    plan: dict[str, Any],
    weight_maps_before: WeightFolder,
) -> WeightFolder:
    """Compute the weight maps of the training samples, unless they are there from before.

    Args:
        samples: All samples.
        manifest: Which of them train.
        fingerprint: Of the training split; balances the classes.
        classes: The parameter `classes`.
        plan: The settled parameters; see `planning.nodes.plan_run`.
        weight_maps_before: The folder as the last run left it.

    Returns:
        The maps of all training samples; none where the plan asks for none.
    """
    settings = read_parameters(PlannedTraining, plan["training"], "training")
    training = samples_of_split(samples, manifest, "train")
    rule = _weight_map_rule(settings, fingerprint, classes)
    folder = weight_maps_before.folder
    computed = update_weight_maps(folder, WeightMapRequest(training, rule))
    if rule is None:
        return WeightFolder(folder, [])
    _log.info("Computed %d of %d weight maps; the others are as before", computed, len(training))
    return WeightFolder(folder, list(training))


def _weight_map_rule(
    settings: PlannedTraining, fingerprint: dict[str, Any], classes: Classes
) -> WeightMapRule | None:
    wanted = settings.weight_map
    if wanted is None:
        return None
    names = classes.names
    return WeightMapRule(
        class_weights=_class_weights(settings, fingerprint) or (1.0,) * len(names),
        border_weight=wanted.border_weight,
        border_width=wanted.border_width,
        objects=None if wanted.objects is None else names.index(wanted.objects),
    )


def train_unet(
    unet: KerasModel,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    fingerprint: dict[str, Any],
    policy: list[dict[str, Any]],
    weight_maps: WeightFolder,
    plan: dict[str, Any],
    seed: int,
    listeners: TrainingListeners,
    checkpoints: CheckpointFolder | None,
) -> tuple[KerasModel, pd.DataFrame]:
    """Train on random, augmented crops; validate on whole images.

    Args:
        unet: The untrained U-Net.
        samples: All samples.
        manifest: Which of them train and which validate.
        fingerprint: Of the training split; fixes the scaling of the intensities and balances
            the classes.
        policy: The augmentation policy.
        weight_maps: The weight maps of the training samples, if there are any.
        plan: The settled parameters; see `planning.nodes.plan_run`.
        seed: What all chance depends on.
        listeners: Told how it goes.
        checkpoints: Where the same training, if it was cut off, is found and gone on with; None:
            nowhere.

    Returns:
        The U-Net with the weights of its best epoch and with the scaling of raw images in front,
        and the history (see `training.fit.fit`).

    Raises:
        InputError: There is not one class weight for each class, or crops that should have been
            learnt by heart were not.
    """
    from unetflow.models.preprocessing import with_preprocessing
    from unetflow.models.unet import geometry_of, without_deep_supervision
    from unetflow.training.fit import fit

    settings = read_parameters(PlannedTraining, plan["training"], "training")
    training: Mapping[str, Sample] = samples_of_split(samples, manifest, "train")
    validation: Mapping[str, Sample] = samples_of_split(samples, manifest, "validation")
    if weight_maps:
        training = WeightedSamples(training, weight_maps)
    if settings.overfit_crops:
        edge = settings.crop_size - 2 * geometry_of(unet).shrink
        training = validation = fixed_crops(training, settings.overfit_crops, edge, seed)
        _require_foreground(training)
        policy = []
    intensity = intensity_range(fingerprint)
    checkpoint = None
    if checkpoints is not None:
        checkpoint = checkpoints.of(_identify(unet, manifest, policy, plan, seed))
    history = fit(
        unet,
        training,
        validation,
        intensity,
        Augmenter(policy),
        _fit_settings(settings, plan["model"]["base_filters"], fingerprint, seed),
        listeners,
        checkpoint,
    )
    if settings.overfit_crops:
        _check_memory(history, len(training))
    return with_preprocessing(without_deep_supervision(unet), intensity), history


def plot_history(history: pd.DataFrame) -> Figure:
    """Draw the learning curves."""
    return draw_learning_curve(history)


def _identify(
    unet: KerasModel,
    manifest: pd.DataFrame,
    policy: list[dict[str, Any]],
    plan: dict[str, Any],
    seed: int,
) -> Identity:
    """Return all that a training's result depends on."""
    from unetflow.models.keras_io import digest_weights
    from unetflow.training.fused_layers import WAY_OF_TRAINING
    from unetflow.training.precision import choose_precision

    parameters = {  # a plan also says what it predicts
        f"{stage}.{name}": value
        for stage in ("model", "training")
        for name, value in plan[stage].items()
    }
    for name in ("training.workers", "training.processes"):  # which change nothing
        del parameters[name]
    return {
        "the data, their masks or their split": digest_training(manifest),
        "the initial weights": digest_weights(unet),
        "the augmentation": policy,
        "how this version trains": WAY_OF_TRAINING,
        "seed": seed,
        **parameters,
        "training.precision": choose_precision(
            parameters["training.precision"], parameters["model.base_filters"]
        ),
    }


def _fit_settings(
    settings: PlannedTraining, base_filters: int, fingerprint: dict[str, Any], seed: int
) -> FitSettings:
    from unetflow.models.device import has_gpu
    from unetflow.training.fit import FitSettings
    from unetflow.training.optimisers import OptimiserSettings
    from unetflow.training.precision import choose_precision

    values = settings.model_dump(exclude={"weight_map", "overfit_crops"})
    values["precision"] = choose_precision(settings.precision, base_filters)
    if settings.processes is None:
        values["processes"] = count_cores() if has_gpu() else 0
    _log.info("Training in %s", values["precision"])
    own = {field.name: values.pop(field.name) for field in fields(OptimiserSettings)}
    values["target_dice"] = _BY_HEART + 0.005 if settings.overfit_crops else None
    # A weight map holds the classes' weights already.
    in_map = settings.weight_map is not None
    values["class_weights"] = None if in_map else _class_weights(settings, fingerprint)
    return FitSettings(seed=seed, optimiser=OptimiserSettings(**own), **values)


def _class_weights(
    settings: PlannedTraining, fingerprint: dict[str, Any]
) -> tuple[float, ...] | None:
    frequencies = list(fingerprint["class_frequencies"].values())
    if settings.class_weights == "none":
        return None
    if settings.class_weights == "balanced":
        return balance_classes(frequencies)
    if len(settings.class_weights) != len(frequencies):
        raise InputError(
            "training.class_weights",
            f"it lists {len(settings.class_weights)} weights for {len(frequencies)} classes",
            "Give one for each class, the background first",
        )
    return tuple(settings.class_weights)


def _require_foreground(crops: Mapping[str, Sample]) -> None:
    if not any(np.isin(crop.label, (0, IGNORE), invert=True).any() for crop in crops.values()):
        raise InputError(
            "training.overfit_crops",
            "the training images that it takes crops of hold no foreground to learn",
            "Take more crops, or check the values in `classes`",
        )


def _check_memory(history: pd.DataFrame, crops: int) -> None:
    """Say whether a few crops have been learnt by heart, as any network that works can."""
    best = history["dice"].max()
    if best > _BY_HEART:
        _log.info(
            "Learnt %d crops by heart: Dice %.3f in the steps of epoch %d, and so far %.3f in a "
            "prediction, for which batch normalisation takes longer to settle",
            crops,
            best,
            len(history),
            history["val_dice"].max(),
        )
        return
    raise InputError(
        "training.overfit_crops",
        f"after {len(history)} epochs the Dice of the {crops} crops is {best:.3f}, not above "
        f"{_BY_HEART}: something keeps the network from learning",
        "Look whether the masks fit the images in data/08_reporting/data_report.html, then at "
        "training.learning_rate, training.loss and training.class_weights",
    )
