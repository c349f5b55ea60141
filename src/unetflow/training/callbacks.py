"""What happens at the end of steps and epochs: validation, reports, and the end of a training."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import keras
import numpy as np
import rich
from rich import progress

from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.core.types import Label
from unetflow.data.intensity import IntensityRange, normalise
from unetflow.data.samples import Sample
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.runtimes.runtime import as_predictor
from unetflow.metrics.epochs import EpochRank, rank_epoch
from unetflow.metrics.pixels import ChargedDice
from unetflow.tiling.windows import predict_tiled
from unetflow.training.data_loader import CropLoader

_log = logging.getLogger(__name__)

PredictionListener = Callable[[int, str, Sample, Label, int], None]


def _do_nothing(*values: Any) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class TrainingListeners:
    """Functions that a training calls.

    Attributes:
        on_epoch: Takes the index of each epoch, from 0, and its scores.
        on_bad_batch: Takes the facts of a batch whose loss is not a number; see `StopOnNotANumber`.
        on_prediction: Takes each validation prediction: the index of the epoch, the sample's id,
            the sample, the predicted label `(height, width)`, and the number of classes.
        name_record: Returns the name of the record of this training, or None.
        on_resumed: Takes the record's name and the scores so far of an interrupted training.
    """

    on_epoch: Callable[[int, dict[str, float]], None]
    on_bad_batch: Callable[[dict[str, Any]], None]
    on_prediction: PredictionListener = _do_nothing
    name_record: Callable[[], str | None] = _do_nothing
    on_resumed: Callable[[str | None, list[dict[str, float]]], None] = _do_nothing


@dataclass(eq=False)
class ValidationScores(keras.callbacks.Callback):
    """Adds `val_loss` and `val_dice` to an epoch's logs.

    Both are scores of whole validation images, predicted as an exported mask is, without
    augmentation: they depend neither on the batch size nor on where a crop happens to lie. The loss
    is the mean over the images, the Dice the charged Dice (see `metrics.pixels.CHARGED_DICE`), NaN
    where no validation image holds foreground.

    Attributes:
        network: The model that trains, without deep supervision.
        samples: The validation samples by id, opened one at a time.
        intensity: The intensities that become 0 and 1.
        tile: Longest edge of a window in pixels.
        object_outputs: Number of the network's last outputs that are no probabilities of classes,
            and are not scored.
    """

    network: keras.Model
    loss: keras.losses.Loss
    samples: Mapping[str, Sample]
    intensity: IntensityRange
    geometry: Geometry
    tile: int
    on_prediction: PredictionListener = _do_nothing
    object_outputs: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self._predictor = as_predictor(self.network)
        self._outputs = self.network.output_shape[-1] - self.object_outputs
        self._postprocessing = Postprocessing.untuned(self._outputs)
        self._has_warned = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Score every validation image."""
        losses, charged = [], ChargedDice()
        for sample_id, sample in self.samples.items():
            image = normalise(sample.image, self.intensity)
            found = predict_tiled(self._predictor, image, self.geometry, self.tile)
            probabilities = found[:, :, : self._outputs]
            label = sample.label[np.newaxis, :, :, np.newaxis]
            losses.append(float(self.loss(label, probabilities[np.newaxis])))
            mask = self._postprocessing.apply(probabilities)
            classes = max(self._outputs, 2)
            charged.add_label(sample.label, mask, classes)
            self.on_prediction(epoch, sample_id, sample, mask, classes)
        logs["val_loss"] = float(np.mean(losses))
        logs["val_dice"] = charged.value
        if not self._has_warned and np.isnan(charged.value):
            self._has_warned = True
            _log.warning(
                "No validation image holds foreground, so there is no validation Dice: epochs are "
                "compared by the validation loss alone"
            )


class LearningRateLog(keras.callbacks.Callback):
    """Adds the learning rate at an epoch's end to its logs, as `learning_rate`."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Read the rate from the optimiser."""
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class ComparedEpochs(keras.callbacks.Callback):
    """Lets a callback of Keras that monitors one score compare epochs by `rank_epoch`.

    The callback monitors `RANK`.
    """

    RANK = "rank"

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Compare the epoch with the best one so far."""
        super().on_epoch_end(epoch, {**logs, self.RANK: rank_epoch(logs)})

    def _is_improvement(self, rank: EpochRank, best: Sequence[float] | None) -> bool:
        return best is None or rank > tuple(best)  # a list where a training is resumed


class StopWithoutProgress(ComparedEpochs, keras.callbacks.EarlyStopping):
    """Stops after `patience` epochs without a better one; restores the best one's weights."""

    kept = ("best", "best_epoch", "wait")

    def __init__(self, patience: int) -> None:
        super().__init__(self.RANK, mode="max", patience=patience, restore_best_weights=True)


class StopOnNotANumber(keras.callbacks.Callback):
    """Stops with an error as soon as a loss is not a finite number.

    Args:
        feed: The batches.
        on_bad_batch: Takes the `epoch` and the `step`, both from 1, the `loss`, and the `samples`
            of the batch and of the one before, whose step may have spoilt the weights.
    """

    def __init__(self, feed: CropLoader, on_bad_batch: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._feed, self._on_bad_batch = feed, on_bad_batch
        self._epoch, self._batch = 0, 0
        self._samples, self._before = list[str](), list[str]()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Check the running mean of the loss."""
        self._batch = batch
        self._before, self._samples = self._samples, self._feed.samples_of(batch)
        if not np.isfinite(logs["loss"]):
            names = ", ".join(f"'{name}'" for name in self._samples)
            where = f"at step {batch + 1} of epoch {self._epoch + 1}, with crops of {names}"
            self._fail(logs["loss"], where)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Check the validation loss, since the last step may have spoilt the weights."""
        if not np.isfinite(logs["val_loss"]):
            self._fail(logs["val_loss"], f"on the validation images of epoch {epoch + 1}")

    def _fail(self, loss: float, where: str) -> NoReturn:
        self._on_bad_batch(
            {
                "epoch": self._epoch + 1,
                "step": self._batch + 1,
                "loss": str(loss),
                "samples": self._samples,
                "samples_before": self._before,
            }
        )
        raise InputError(
            "training.learning_rate",
            f"the loss became {loss} {where}",
            "Lower it, or set `training.global_clipnorm: 1.0`; check these images if it remains",
        )


class StopWhenGoodEnough(keras.callbacks.Callback):
    """Stops when the Dice of an epoch's crops has reached a target."""

    def __init__(self, target: float) -> None:
        super().__init__()
        self._target = target

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Check the Dice."""
        if logs["dice"] >= self._target:
            self.model.stop_training = True


class StopWhenTimeIsUp(keras.callbacks.Callback):
    """Stops after the epoch in which the minutes run out, with those before an interruption."""

    kept = ("spent",)

    def __init__(self, minutes: float) -> None:
        super().__init__()
        self._minutes = minutes
        self.spent = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock."""
        self._mark = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Check the clock."""
        now = time.monotonic()
        self.spent += now - self._mark
        self._mark = now
        if self.spent >= 60 * self._minutes:
            _log.info("The time of %g min is up", self._minutes)
            self.model.stop_training = True


class ProgressReport(keras.callbacks.Callback):
    """Logs a line for each epoch, and shows a progress bar on a terminal.

    Steps and crops are those of an epoch; `before` epochs were done before an interruption.
    """

    def __init__(self, epochs: int, steps: int, crops: int, before: int = 0) -> None:
        super().__init__()
        self._epochs, self._steps, self._crops, self._before = epochs, steps, crops, before
        console = rich.get_console()  # the one that Kedro logs to, so that lines do not mix
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=None),
            progress.TaskProgressColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("to go at most"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the bar."""
        self._started = time.monotonic()
        total, done = (epochs * self._steps for epochs in (self._epochs, self._before))
        self._task = self._bar.add_task(f"epoch {self._before + 1}", total=total, completed=done)
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the epoch's clock; validation is not timed."""
        self._epoch, self._epoch_started = epoch, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Move the bar on."""
        seconds = max(time.monotonic() - self._epoch_started, 1e-9)
        self._speed = self._crops * (batch + 1) / self._steps / seconds
        self._bar.update(
            self._task,
            advance=1,
            description=f"epoch {self._epoch + 1}/{self._epochs}, step {batch + 1}/{self._steps}, "
            f"loss {logs['loss']:.3f}, Dice {logs['dice']:.3f}, {self._speed:.3g} crops/s",
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Log the epoch's scores, its speed and the remaining time."""
        done = epoch + 1
        passed = time.monotonic() - self._started
        remaining = round(passed / (done - self._before) * (self._epochs - done))
        _log.info(
            "Epoch %d of %d: loss %.3f, Dice %.3f; validation loss %.3f, %s; "
            "%.3g crops/s; at most %s to go",
            done,
            self._epochs,
            *(logs[name] for name in ("loss", "dice", "val_loss")),
            "no Dice" if math.isnan(logs["val_dice"]) else f"Dice {logs['val_dice']:.3f}",
            self._speed,
            f"{remaining // 60} min {remaining % 60} s" if remaining >= 60 else f"{remaining} s",
        )

    def close(self) -> None:
        """Remove the bar."""
        self._bar.stop()
