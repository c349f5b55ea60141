"""Training of a U-Net."""

import logging
from collections.abc import Mapping, Sequence

import keras
import pandas as pd

from unetflow.augmentation.policy import Augmenter
from unetflow.config.training import PlannedTraining
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample
from unetflow.inference.postprocessing import Postprocessing
from unetflow.models.device import compiles_with_xla
from unetflow.models.segmentation_loss import SegmentationLoss, dice
from unetflow.models.unet import count_outputs, geometry_of, without_deep_supervision
from unetflow.training.callbacks import (
    LearningRateLog,
    ProgressReport,
    TrainingListeners,
    ValidationScores,
)
from unetflow.training.checkpoints import Checkpoint
from unetflow.training.data_loader import CropLoader
from unetflow.training.determinism import make_deterministic
from unetflow.training.early_stopping import (
    StopOnNotANumber,
    StopWhenGoodEnough,
    StopWhenTimeIsUp,
    StopWithoutProgress,
)
from unetflow.training.fused_layers import copy_for_training
from unetflow.training.optimisers import (
    AveragedWeights,
    PlateauRate,
    build_optimiser,
    count_warmup_steps,
)
from unetflow.training.resume import EpochCheckpoint

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
        `learning_rate`, `val_loss` and `val_dice`.

    Raises:
        InputError: A loss is not a finite number, or the state cannot be read or written.
    """
    network = copy_for_training(unet, settings.precision)
    make_deterministic(network, seed)
    feed = CropLoader(
        training, intensity, augmenter, settings, seed, label_margin=geometry_of(unet).shrink
    )
    total_steps = settings.epochs * feed.num_batches
    _compile(network, settings, total_steps)
    callbacks = [
        *_scoring(network, validation, intensity, settings, listeners),
        StopOnNotANumber(feed, listeners.on_bad_batch),
        LearningRateLog(),
        *_plateau(settings, total_steps),
        *_stopping(settings),
    ]
    keeper = EpochCheckpoint(network, checkpoint, settings.epochs, callbacks, listeners)
    keeper.restore()
    if not keeper.finished:
        _train(network, feed, settings, [*callbacks, keeper], keeper.done, listeners)
    unet.set_weights(network.get_weights())
    return _tabulate(keeper.rows)


def _train(
    unet: keras.Model,
    feed: CropLoader,
    settings: PlannedTraining,
    callbacks: list[keras.callbacks.Callback],
    done: int,
    listeners: TrainingListeners,
) -> None:
    """Train the epochs that are left."""
    feed.begin_with(done)
    report = ProgressReport(settings.epochs, feed.num_batches, feed.num_crops, done)
    *others, keeper = callbacks
    tell = keras.callbacks.LambdaCallback(on_epoch_end=listeners.on_epoch)
    try:
        unet.fit(
            feed,
            epochs=settings.epochs,
            initial_epoch=done,
            verbose=0,
            shuffle=False,  # the feed shuffles by itself
            callbacks=[*others, report, tell, keeper],
        )
    finally:
        report.close()
        feed.close()


def _compile(unet: keras.Model, settings: PlannedTraining, total_steps: int) -> None:
    normalised = any(isinstance(x, keras.layers.BatchNormalization) for x in unet.layers)
    if normalised and total_steps < _FEW_STEPS:
        _log.warning(
            "Only %d training steps: too few for batch normalisation to settle. Raise "
            "training.epochs or training.crops_per_image",
            total_steps,
        )
    outputs = count_outputs(unet)
    unet.compile(
        optimizer=build_optimiser(settings, total_steps),
        loss=SegmentationLoss(settings.loss, _class_weights(settings), outputs),
        metrics=[keras.metrics.MeanMetricWrapper(dice, name="dice", outputs=outputs)],
        jit_compile=compiles_with_xla(),
    )


def _scoring(
    unet: keras.Model,
    validation: Mapping[str, Sample],
    intensity: IntensityRange,
    settings: PlannedTraining,
    listeners: TrainingListeners,
) -> list[keras.callbacks.Callback]:
    network = without_deep_supervision(unet)
    scores = ValidationScores(
        network,
        SegmentationLoss(settings.loss, _class_weights(settings)),
        validation,
        intensity,
        geometry_of(unet),
        settings.tile,
        Postprocessing.untuned(network.output_shape[-1]),
        listeners.on_prediction,
    )
    if not settings.ema_momentum:
        return [scores]
    # The average takes the weights' place before an epoch is validated.
    return [AveragedWeights(), scores]


def _stopping(settings: PlannedTraining) -> list[keras.callbacks.Callback]:
    return [
        *([StopWhenGoodEnough(OVERFIT_DICE + 0.005)] if settings.overfit_crops else []),
        *([StopWhenTimeIsUp(settings.minutes)] if settings.minutes else []),
        StopWithoutProgress(settings.patience),
    ]


def _tabulate(history: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    table = pd.DataFrame(history)
    table.insert(0, "epoch", table.index + 1)
    best = table.iloc[int(table["val_dice"].argmax())]
    _log.info(
        "Kept the weights of epoch %d of %d: validation Dice %.3f",
        best["epoch"],
        len(table),
        best["val_dice"],
    )
    return table


def _plateau(settings: PlannedTraining, total_steps: int) -> list[keras.callbacks.Callback]:
    if settings.schedule != "plateau":
        return []
    rising = count_warmup_steps(settings, total_steps)
    patience = max(settings.patience // 3, 1)
    return [PlateauRate(settings.learning_rate, rising, patience=patience)]


def _class_weights(settings: PlannedTraining) -> list[float] | None:
    return settings.class_weights if isinstance(settings.class_weights, list) else None
