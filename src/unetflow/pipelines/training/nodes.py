"""An untrained U-Net and samples to a trained U-Net and its history."""

from dataclasses import fields
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from unetflow.imaging.augmentation import Augmenter
from unetflow.imaging.figures import draw_learning_curve
from unetflow.imaging.manifest import intensity_range, samples_of_split
from unetflow.imaging.samples import SampleFolder
from unetflow.pipelines.checks import read_parameters
from unetflow.pipelines.parameters import TrainingParameters
from unetflow.pipelines.types import EpochListener, KerasModel


def train_unet(
    unet: KerasModel,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    fingerprint: dict[str, Any],
    policy: list[dict[str, Any]],
    parameters: dict[str, Any],
    seed: int,
    on_epoch: EpochListener,
) -> tuple[KerasModel, pd.DataFrame]:
    """Train on random, augmented crops; validate on whole images.

    Args:
        unet: The untrained U-Net.
        samples: All samples.
        manifest: Which of them train and which validate.
        fingerprint: Of the training split; fixes the scaling of the intensities.
        policy: The augmentation policy.
        parameters: The parameters of the training.
        seed: What all chance depends on.
        on_epoch: Told the scores of each epoch.

    Returns:
        The U-Net with the weights of its best epoch and with the scaling of raw images in front,
        and the history (see `unet.fit.fit`).
    """
    from unetflow.unet import geometry_of
    from unetflow.unet.fit import FitSettings, fit
    from unetflow.unet.optimisation import OptimiserSettings
    from unetflow.unet.preprocessing import with_preprocessing

    values = read_parameters(TrainingParameters, parameters, "training").model_dump()
    optimiser = OptimiserSettings(**{f.name: values.pop(f.name) for f in fields(OptimiserSettings)})
    intensity = intensity_range(fingerprint)
    history = fit(
        unet,
        samples_of_split(samples, manifest, "train"),
        samples_of_split(samples, manifest, "validation"),
        intensity,
        geometry_of(unet),
        Augmenter(policy),
        FitSettings(seed=seed, optimiser=optimiser, **values),
        on_epoch,
    )
    return with_preprocessing(unet, intensity), history


def plot_history(history: pd.DataFrame) -> Figure:
    """Draw the learning curves."""
    return draw_learning_curve(history)
