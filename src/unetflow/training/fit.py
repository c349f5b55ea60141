"""Training of a U-Net."""

import logging
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd

from unetflow.augmentation.policy import Augmenter
from unetflow.config.training import PlannedTraining
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample
from unetflow.metrics.epochs import find_best_epoch
from unetflow.models.device import compiles_with_xla
from unetflow.models.segmentation_loss import SegmentationLoss, dice
from unetflow.models.unet import (
    count_heads,
    geometry_of,
    list_object_outputs,
    name_instances,
    without_deep_supervision,
)
from unetflow.training.callbacks import (
    LearningRateLog,
    ProgressReport,
    StopOnNotANumber,
    StopWhenGoodEnough,
    StopWhenTimeIsUp,
    StopWithoutProgress,
    TrainingListeners,
    ValidationScores,
)
from unetflow.training.data_loader import CropLoader
from unetflow.training.fused_layers import copy_for_training
from unetflow.training.memory import MemoryReuse
from unetflow.training.optimisers import AveragedWeights, PlateauRate, build_optimiser
from unetflow.training.repetition import EpochCheckpoint, make_deterministic
from unetflow.training.saved_states import Checkpoint

_log = logging.getLogger(__name__)

OVERFIT_DICE = 0.98
"""Dice of overfitted crops above which the network can learn.

It is measured in the training steps: batch normalisation takes longer to settle.
"""

_FEW_STEPS = 200
"""After so many steps batch normalisation still carries 0.99^200 = 13 % of its start values."""


def fit(
    unet: keras.Model,
    training: Mapping[str, Sample],
    validation: Mapping[str, Sample],
    intensity: IntensityRange,
    augmenter: Augmenter,
    settings: PlannedTraining,
    listeners: TrainingListeners,
    checkpoint: Checkpoint | None = None,
    *,
    seed: int,
) -> pd.DataFrame:
    """Train a network in place and leave it with the weights of its best epoch.

    Args:
        unet: A network that `build_unet` made.
        training: Training samples by id.
        validation: Validation samples by id; never augmented.
        intensity: The intensities that become 0 and 1.
        augmenter: Changes each training crop.
        settings: How to train; see `settle_training`.
        listeners: Called after each epoch.
        checkpoint: Where the state is saved after each epoch, and from where an interrupted
            training is resumed; None: nowhere.
        seed: Seed of the order, the crops and dropout.

    Returns:
        The history: a row for each epoch with `epoch` (from 1), `loss`, `dice`,
        `learning_rate`, `val_loss` and `val_dice` (see `ValidationScores`).

    Raises:
        InputError: A loss is not a finite number, or the state cannot be read or written.
    """
    network, geometry = copy_for_training(unet, settings.precision), geometry_of(unet)
    make_deterministic(network, seed)
    margin = geometry.shrink
    feed = CropLoader(training, intensity, augmenter, settings, seed, label_margin=margin)
    total_steps = settings.epochs * feed.num_batches
    _compile(network, settings, total_steps)
    validated = without_deep_supervision(network)
    scores = ValidationScores(
        validated,
        _loss(settings),
        validation,
        intensity,
        geometry,
        settings.tile,
        listeners.on_prediction,
        object_outputs=len(list_object_outputs(unet)),
    )
    callbacks = _make_callbacks(settings, scores, feed, listeners, total_steps)
    keeper = EpochCheckpoint(network, checkpoint, settings.epochs, callbacks, listeners)
    if not keeper.finished:
        _train(network, feed, settings.epochs, callbacks, keeper, listeners)
    unet.set_weights(network.get_weights())
    return _tabulate(keeper.rows)


def _make_callbacks(
    settings: PlannedTraining,
    scores: ValidationScores,
    feed: CropLoader,
    listeners: TrainingListeners,
    total_steps: int,
) -> list[keras.callbacks.Callback]:
    """Return the callbacks of the epochs, in the order in which they are called."""
    return [
        MemoryReuse(),
        # The average takes the weights' place before an epoch is validated.
        *([AveragedWeights()] if settings.ema_momentum else []),
        scores,
        StopOnNotANumber(feed, listeners.on_bad_batch),
        LearningRateLog(),
        *([PlateauRate(settings, total_steps)] if settings.schedule == "plateau" else []),
        *([StopWhenGoodEnough(OVERFIT_DICE + 0.005)] if settings.overfit_crops else []),
        *([StopWhenTimeIsUp(settings.minutes)] if settings.minutes else []),
        StopWithoutProgress(settings.patience),
    ]


def _compile(unet: keras.Model, settings: PlannedTraining, total_steps: int) -> None:
    normalised = any(isinstance(x, keras.layers.BatchNormalization) for x in unet.layers)
    if normalised and total_steps < _FEW_STEPS:
        _log.warning(
            "Only %d training steps: too few for batch normalisation to settle. Raise "
            "training.epochs or training.crops_per_image",
            total_steps,
        )
    outputs = {"outputs": count_heads(unet), "instances": name_instances(unet)}
    unet.compile(
        optimizer=build_optimiser(settings, total_steps),
        loss=_loss(settings, **outputs),
        metrics=[keras.metrics.MeanMetricWrapper(dice, name="dice", **outputs)],
        jit_compile=compiles_with_xla(),
    )


def _loss(settings: PlannedTraining, **outputs: Any) -> SegmentationLoss:
    weights = settings.class_weights if isinstance(settings.class_weights, list) else None
    return SegmentationLoss(settings.loss, weights, **outputs)


def _train(
    unet: keras.Model,
    feed: CropLoader,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
    keeper: EpochCheckpoint,
    listeners: TrainingListeners,
) -> None:
    """Train the epochs that are left."""
    feed.begin_with(keeper.done)
    report = ProgressReport(epochs, feed.num_batches, feed.num_crops, keeper.done)
    tell = keras.callbacks.LambdaCallback(on_epoch_end=listeners.on_epoch)
    try:
        unet.fit(
            feed,
            epochs=epochs,
            initial_epoch=keeper.done,
            verbose=0,
            shuffle=False,  # the feed shuffles by itself
            callbacks=[*callbacks, report, tell, keeper],
        )
    finally:
        report.close()
        feed.close()


def _tabulate(history: list[dict[str, float]]) -> pd.DataFrame:
    table = pd.DataFrame(history)
    table.insert(0, "epoch", table.index + 1)
    best = table.iloc[find_best_epoch(table)]
    name, score = ("loss", "val_loss") if np.isnan(best["val_dice"]) else ("Dice", "val_dice")
    _log.info(
        "Kept the weights of epoch %d of %d: validation %s %.3f",
        best["epoch"],
        len(table),
        name,
        best[score],
    )
    return table
