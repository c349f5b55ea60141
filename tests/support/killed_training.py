"""A short training in a process of its own, which can be killed."""

import logging
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np

from tests.support.networks import GREY, fit_settings, square_samples, tiny_unet
from unetflow.augmentation.policy import Augmenter
from unetflow.core import atomic
from unetflow.training.callbacks import TrainingListeners
from unetflow.training.fit import fit
from unetflow.training.saved_states import CheckpointFolder

EPOCHS = 6
POLICY = [{"transform": "HorizontalFlip", "p": 0.5}, {"transform": "GaussNoise", "p": 0.5}]
VARIANTS = {
    # All that a state may hold: dropout, moments, moving average, rates of a schedule, patience
    "average": {"ema_momentum": 0.9, "schedule": "cosine", "warmup_fraction": 0.3},
    "plateau": {"schedule": "plateau", "patience": 3, "learning_rate": 0.03},
}


def train(folder: Path, variant: str, die: str | None = None) -> None:
    """Train, and write weights and history to `result.npz` at the end.

    Args:
        folder: For the result and the checkpoints.
        variant: One of `VARIANTS`.
        die: "writing N": the process kills itself when half of the N-th state is written;
            "epoch N": when the scores of that epoch are reported. None: never.
    """
    logging.disable()
    what, number = (die or "never 0").split()
    if what == "writing":
        _die_while_writing(int(number))

    def on_epoch(epoch: int, scores: dict[str, float]) -> None:
        (folder / "begun").touch()
        if what == "epoch" and epoch + 1 == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    keras.utils.set_random_seed(5)
    unet = tiny_unet(dropout=0.3)
    table = fit(
        unet,
        square_samples(6, seed=1),
        square_samples(2, seed=2),
        GREY,
        Augmenter(POLICY),
        fit_settings(epochs=EPOCHS, workers=2, **VARIANTS[variant]),
        TrainingListeners(on_epoch, lambda batch: None),
        CheckpointFolder(folder / "checkpoints", keep=1).of({"variant": variant}),
        seed=3,
    )
    weights = {f"weight_{i}": weight for i, weight in enumerate(unet.get_weights())}
    with atomic.atomic_write(folder / "result.npz") as temporary:
        np.savez(temporary, history=table.to_numpy(np.float64), **weights)


def _die_while_writing(number: int) -> None:
    """Cut the N-th file in half when it is about to be synced, and die."""
    sync, count = atomic._sync, 0

    def die(path: Path) -> None:
        nonlocal count
        count += path.suffix == ".npz"
        if count == number:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        sync(path)

    atomic._sync = die


if __name__ == "__main__":
    train(Path(sys.argv[1]), *sys.argv[2:])
