"""Callbacks that end a training before its last epoch."""

import logging
import time
from typing import Any

import keras
import numpy as np

from unetflow.core.errors import InputError
from unetflow.training.callbacks import BadBatchListener
from unetflow.training.data_loader import CropLoader

_log = logging.getLogger(__name__)


class StopWithoutProgress(keras.callbacks.EarlyStopping):
    """Stops when the validation Dice no longer rises, and restores the best weights.

    Args:
        patience: Epochs without a better validation Dice.
    """

    kept = ("best", "best_epoch", "wait")

    def __init__(self, patience: int) -> None:
        super().__init__(
            monitor="val_dice", mode="max", patience=patience, restore_best_weights=True
        )


class StopOnNotANumber(keras.callbacks.Callback):
    """Stops with an error as soon as a loss is not a finite number.

    Args:
        feed: The batches.
        on_bad_batch: Takes the `epoch` and the `step`, both from 1, the `loss`, and the `samples`
            of the batch and of the one before, whose step may have spoilt the weights.
    """

    def __init__(self, feed: CropLoader, on_bad_batch: BadBatchListener) -> None:
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
        if np.isfinite(logs["loss"]):
            return
        samples = self._samples
        self._report(logs["loss"])
        where = f"at step {batch + 1} of epoch {self._epoch + 1}, with crops of "
        raise _not_finite(logs["loss"], where + ", ".join(f"'{name}'" for name in samples))

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Check the validation loss, since the last step may have spoilt the weights."""
        if not np.isfinite(logs["val_loss"]):
            self._report(logs["val_loss"])
            raise _not_finite(logs["val_loss"], f"on the validation images of epoch {epoch + 1}")

    def _report(self, loss: float) -> None:
        self._on_bad_batch(
            {
                "epoch": self._epoch + 1,
                "step": self._batch + 1,
                "loss": str(loss),
                "samples": self._samples,
                "samples_before": self._before,
            }
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
    """Stops after the epoch in which the time runs out.

    Args:
        minutes: Time of the training with validation, also before an interruption.
    """

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


def _not_finite(loss: float, when: str) -> InputError:
    return InputError(
        "training.learning_rate",
        f"the loss became {loss} {when}",
        "Lower it, or set `training.global_clipnorm: 1.0`; check these images if it remains",
    )
