"""An untrained U-Net and samples to a trained U-Net and its history."""

from dataclasses import fields
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from unetflow.imaging.augmentation import Augmenter
from unetflow.imaging.class_weights import balance_classes
from unetflow.imaging.errors import InputError
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
        fingerprint: Of the training split; fixes the scaling of the intensities and balances
            the classes.
        policy: The augmentation policy.
        parameters: The parameters of the training.
        seed: What all chance depends on.
        on_epoch: Told the scores of each epoch.

    Returns:
        The U-Net with the weights of its best epoch and with the scaling of raw images in front,
        and the history (see `unet.fit.fit`).

    Raises:
        InputError: There is not one class weight for each class.
    """
    from unetflow.unet import geometry_of
    from unetflow.unet.fit import FitSettings, fit
    from unetflow.unet.optimisation import OptimiserSettings
    from unetflow.unet.preprocessing import with_preprocessing

    settings = read_parameters(TrainingParameters, parameters, "training")
    values = settings.model_dump()
    optimiser = OptimiserSettings(**{f.name: values.pop(f.name) for f in fields(OptimiserSettings)})
    intensity = intensity_range(fingerprint)
    history = fit(
        unet,
        samples_of_split(samples, manifest, "train"),
        samples_of_split(samples, manifest, "validation"),
        intensity,
        geometry_of(unet),
        Augmenter(policy),
        FitSettings(
            seed=seed,
            optimiser=optimiser,
            **{**values, "class_weights": _class_weights(settings, fingerprint)},
        ),
        on_epoch,
    )
    return with_preprocessing(unet, intensity), history


def plot_history(history: pd.DataFrame) -> Figure:
    """Draw the learning curves."""
    return draw_learning_curve(history)


def _class_weights(
    settings: TrainingParameters, fingerprint: dict[str, Any]
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
