"""What happens at the end of each epoch."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import rich
from rich import progress

from unetflow.imaging.errors import InputError
from unetflow.imaging.intensity import IntensityRange, normalise
from unetflow.imaging.samples import Sample
from unetflow.imaging.scores import decide, mean_dice, tells_two_apart
from unetflow.imaging.tiling import Geometry, predict_tiled
from unetflow.unet.prediction import as_predictor

_log = logging.getLogger(__name__)

EpochListener = Callable[[int, dict[str, float]], None]


class ValidationScores(keras.callbacks.Callback):
    """Adds `val_loss` and `val_dice` to an epoch's logs.

    Both are means over whole validation images, predicted as an exported mask is, without
    augmentation: they depend neither on the batch size nor on where a crop happens to lie.
    The Dice is taken of the most probable classes, and is the mean over those of the image but
    the background (see `imaging.scores.score_label`).

    Args:
        samples: The validation samples by id, opened one at a time.
        intensity: What becomes 0 and 1.
        geometry: Of the network.
        tile: Longest edge of a window in pixels.
    """

    def __init__(
        self,
        samples: Mapping[str, Sample],
        intensity: IntensityRange,
        geometry: Geometry,
        tile: int,
    ) -> None:
        super().__init__()
        self._samples = samples
        self._intensity = intensity
        self._geometry = geometry
        self._tile = tile

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Score every validation image."""
        losses, dices = [], []
        predictor = as_predictor(self.model)
        for sample in self._samples.values():
            image = normalise(sample.image, self._intensity)
            probabilities = predict_tiled(predictor, image, self._geometry, self._tile)
            label = sample.label[np.newaxis, :, :, np.newaxis]
            losses.append(float(self.model.loss(label, probabilities[np.newaxis])))
            threshold = 0.5 if tells_two_apart(probabilities) else None
            found = decide(probabilities, threshold)
            dices.append(mean_dice(sample.label, found, max(probabilities.shape[2], 2)))
        logs["val_loss"] = float(np.mean(losses))
        logs["val_dice"] = float(np.mean(dices))


class LearningRateLog(keras.callbacks.Callback):
    """Adds `learning_rate` to an epoch's logs, as it is at the epoch's end."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Ask the optimiser."""
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class StopOnNotANumber(keras.callbacks.Callback):
    """Ends training with a clear error as soon as a loss is not a finite number."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Check the running mean of the loss."""
        _check_finite(logs["loss"], f"at step {batch + 1} of the epoch")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Check the validation loss: the last step may have spoilt the weights."""
        _check_finite(logs["val_loss"], f"on the validation images of epoch {epoch + 1}")


class ProgressReport(keras.callbacks.Callback):
    """Shows a bar with the remaining time, and logs a line for each epoch.

    Args:
        epochs: Epochs of the whole training.
        steps: Steps of an epoch.
    """

    def __init__(self, epochs: int, steps: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._steps = steps
        console = rich.get_console()  # the one that Kedro logs to, so that lines don't mix
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("elapsed,"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("to go at most"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the bar."""
        self._started = time.monotonic()
        self._task = self._bar.add_task("epoch 1", total=self._epochs * self._steps)
        self._bar.start()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Move the bar on."""
        self._bar.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Log the epoch's scores and the remaining time."""
        done = epoch + 1
        remaining = (time.monotonic() - self._started) / done * (self._epochs - done)
        self._bar.update(self._task, description=f"epoch {min(done + 1, self._epochs)}")
        _log.info(
            "Epoch %d of %d: loss %.3f, Dice %.3f; validation loss %.3f, Dice %.3f; "
            "at most %s to go",
            done,
            self._epochs,
            logs["loss"],
            logs["dice"],
            logs["val_loss"],
            logs["val_dice"],
            _duration(remaining),
        )

    def close(self) -> None:
        """Take the bar away, also when training fails."""
        self._bar.stop()


def _check_finite(loss: float, when: str) -> None:
    if not np.isfinite(loss):
        raise InputError(
            "training.learning_rate", f"the loss became {loss} {when}", "Lower the learning rate"
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
