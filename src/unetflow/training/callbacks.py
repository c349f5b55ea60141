"""Validation, learning-rate log and progress report of a training."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import rich
from rich import progress

from unetflow.core.geometry import Geometry
from unetflow.core.types import Label
from unetflow.data.intensity import IntensityRange, normalise
from unetflow.data.samples import Sample
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.predict import as_predictor
from unetflow.metrics.pixels import mean_dice
from unetflow.tiling.windows import predict_tiled

_log = logging.getLogger(__name__)

EpochListener = Callable[[int, dict[str, float]], None]
BadBatchListener = Callable[[dict[str, Any]], None]
PredictionListener = Callable[[int, str, Sample, Label, int], None]
ResumeListener = Callable[[str | None, list[dict[str, float]]], None]


def ignore_prediction(
    epoch: int, sample_id: str, sample: Sample, found: Label, classes: int
) -> None:
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

    on_epoch: EpochListener
    on_bad_batch: BadBatchListener
    on_prediction: PredictionListener = ignore_prediction
    name_record: Callable[[], str | None] = lambda: None
    on_resumed: ResumeListener = lambda record, history: None


class ValidationScores(keras.callbacks.Callback):
    """Adds `val_loss` and `val_dice` to an epoch's logs.

    Both are means over whole validation images, predicted as an exported mask is, without
    augmentation: they depend neither on the batch size nor on where a crop happens to lie.
    The Dice is the mean over the classes of the image except the background (see
    `metrics.pixels.count_by_class`).

    Args:
        network: The model that trains, without deep supervision.
        loss: Of `network`.
        samples: The validation samples by id, opened one at a time.
        intensity: The intensities that become 0 and 1.
        geometry: Of the network.
        tile: Longest edge of a window in pixels.
        postprocessing: From probabilities to labels.
        on_prediction: See `TrainingListeners`.
    """

    def __init__(
        self,
        network: keras.Model,
        loss: keras.losses.Loss,
        samples: Mapping[str, Sample],
        intensity: IntensityRange,
        geometry: Geometry,
        tile: int,
        postprocessing: Postprocessing,
        on_prediction: PredictionListener = ignore_prediction,
    ) -> None:
        super().__init__()
        self._predictor = as_predictor(network)
        self._loss = loss
        self._samples = samples
        self._intensity = intensity
        self._geometry = geometry
        self._tile = tile
        self._postprocessing = postprocessing
        self._on_prediction = on_prediction

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Score every validation image."""
        losses, dices = [], []
        for sample_id, sample in self._samples.items():
            image = normalise(sample.image, self._intensity)
            probabilities = predict_tiled(self._predictor, image, self._geometry, self._tile)
            label = sample.label[np.newaxis, :, :, np.newaxis]
            losses.append(float(self._loss(label, probabilities[np.newaxis])))
            found = self._postprocessing.apply(probabilities)
            classes = max(probabilities.shape[2], 2)
            dices.append(mean_dice(sample.label, found, classes))
            self._on_prediction(epoch, sample_id, sample, found, classes)
        logs["val_loss"] = float(np.mean(losses))
        logs["val_dice"] = float(np.mean(dices))


class LearningRateLog(keras.callbacks.Callback):
    """Adds the learning rate at an epoch's end to its logs, as `learning_rate`."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Read the rate from the optimiser."""
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class ProgressReport(keras.callbacks.Callback):
    """Logs a line for each epoch, and shows a progress bar on a terminal.

    Args:
        epochs: Epochs of the whole training.
        steps: Steps of an epoch.
        crops: Crops of an epoch.
        before: Epochs that an interrupted training has done before.
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
        self._task = self._bar.add_task(
            f"epoch {self._before + 1}",
            total=self._epochs * self._steps,
            completed=self._before * self._steps,
        )
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the epoch's clock; validation is not timed."""
        self._epoch, self._epoch_started = epoch, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Move the bar on."""
        self._bar.update(
            self._task,
            advance=1,
            description=f"epoch {self._epoch + 1}/{self._epochs}, step {batch + 1}/{self._steps}, "
            f"loss {logs['loss']:.3f}, Dice {logs['dice']:.3f}, {self._speed(batch + 1):.3g} "
            "crops/s",
        )
        self._speed_of_epoch = self._speed(batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Log the epoch's scores, its speed and the remaining time."""
        done = epoch + 1
        passed = time.monotonic() - self._started
        remaining = passed / (done - self._before) * (self._epochs - done)
        _log.info(
            "Epoch %d of %d: loss %.3f, Dice %.3f; validation loss %.3f, Dice %.3f; "
            "%.3g crops/s; at most %s to go",
            done,
            self._epochs,
            logs["loss"],
            logs["dice"],
            logs["val_loss"],
            logs["val_dice"],
            self._speed_of_epoch,
            _duration(remaining),
        )

    def close(self) -> None:
        """Remove the bar."""
        self._bar.stop()

    def _speed(self, steps: int) -> float:
        seconds = max(time.monotonic() - self._epoch_started, 1e-9)
        return self._crops * steps / self._steps / seconds


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
