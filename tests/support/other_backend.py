"""A short training with the backend that KERAS_BACKEND names, in a process of its own."""

import json
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from tests.support.networks import GREY, fit_settings, square_samples, tiny_unet
from unetflow.augmentation.policy import Augmenter
from unetflow.core.errors import InputError
from unetflow.training.callbacks import TrainingListeners
from unetflow.training.fit import fit
from unetflow.training.saved_states import CheckpointFolder


def train(**changes: object) -> dict[str, object]:
    """Train with a checkpoint after each epoch, and return how it went."""
    keras.utils.set_random_seed(2)
    unet = tiny_unet(base_filters=4, normalisation=changes.pop("normalisation", "batch"))
    with tempfile.TemporaryDirectory() as folder:
        table = fit(
            unet,
            square_samples(6, seed=1),
            square_samples(3, seed=2),
            GREY,
            Augmenter([{"transform": "HorizontalFlip", "p": 0.5}]),
            fit_settings(epochs=8, crops_per_image=4, **changes),
            TrainingListeners(lambda epoch, scores: None, lambda batch: None),
            CheckpointFolder(Path(folder), keep=1).of({}),
            seed=3,
        )
    total = float(sum(np.abs(weight).sum(dtype=np.float64) for weight in unet.get_weights()))
    return {"loss": table["loss"].tolist(), "best": table["val_dice"].max(), "weights": total}


def main() -> None:
    """Print what two equal trainings, one in bfloat16 and one with an average came to."""
    plain = {"normalisation": "none"}
    results = {
        "backend": keras.backend.backend(),
        "one": train(**plain),
        "again": train(**plain),
        "normalised, bfloat16": train(precision="bfloat16"),
    }
    try:
        train(ema_momentum=0.9)
    except InputError as error:
        results["average"] = str(error)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
