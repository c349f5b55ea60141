"""Makers of tiny networks, samples and settings."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tests.support.segmenter_settings import make_settings
from unetflow.config.training import PlannedTraining
from unetflow.core.geometry import Geometry
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.separation import Separation
from unetflow.models.unet import build_unet, geometry_of, list_object_outputs, with_preprocessing

GREY = IntensityRange(low=[0.0], high=[255.0])
ONE_PIXEL = Geometry(stride=1, remainder=0, shrink=0, margin=0)


def tiny_unet(**changes: Any) -> keras.Model:
    options = {"input_shape": (None, None, 1), "base_filters": 2, "depth": 1, **changes}
    return build_unet(options.pop("input_shape"), **options)


def randomise(network: keras.Model, seed: int = 0) -> keras.Model:
    """Give every weight a random value that keeps the activations near 1.

    A fresh network has biases of 0 and a batch normalisation that does nothing.
    """
    random = np.random.default_rng(seed)
    for weight in network.weights:
        if weight.name == "kernel":
            transposed = weight.path.split("/")[-2].endswith("_up")
            fan_in = weight.shape[3] if transposed else np.prod(weight.shape[:3])
            values = random.normal(0, np.sqrt(2 / fan_in), weight.shape)
        elif weight.name in ("gamma", "moving_variance"):
            values = random.uniform(0.5, 1.5, weight.shape)
        else:
            values = random.normal(0, 0.3, weight.shape)
        weight.assign(values)
    return network


def make_segmenter(
    seed: int = 5,
    dtype: str = "uint8",
    channels: int = 1,
    classes: int = 1,
    tile: int = 64,
    **options: Any,
) -> Segmenter:
    """Make a segmenter with random weights; `instances` gives it outputs for objects.

    Windows lose a margin of 24 pixels at each inner side: a small tile means very many of them.
    """
    options = {"depth": 2, "base_filters": 4, **options}
    shape = (None, None, channels)
    unet = randomise(tiny_unet(input_shape=shape, classes=classes, **options), seed=seed)
    low, high = (10.0, 200.0) if dtype == "uint8" else (900.0, 52_000.0)
    ranges = IntensityRange([low + 3 * c for c in range(channels)], [high] * channels)
    names = [f"class {number}" for number in range(max(classes, 2))]
    threshold = 0.45 if classes <= 2 else None
    settings = make_settings(names, threshold, channels, dtype, geometry_of(unet), tile)
    if outputs := list_object_outputs(unet):
        separation = Separation(seed_threshold=0.1, min_distance=4)
        tuned = settings.postprocessing.model_copy(update={"separation": separation})
        changes = {"object_outputs": outputs, "postprocessing": tuned}
        settings = settings.model_copy(update=changes)
    return Segmenter(with_preprocessing(unet, ranges), settings)


def draw(
    random: np.random.Generator, segmenter: Segmenter, size: tuple[int, int]
) -> NDArray[np.generic]:
    """Draw an image that a segmenter takes."""
    settings = segmenter.settings
    largest = np.iinfo(settings.dtype).max
    shape = (*size, settings.channels)
    return random.integers(0, largest, shape, settings.dtype, endpoint=True)


def square_samples(count: int, seed: int, size: int = 24, square: int = 10) -> dict[str, Sample]:
    """Make dim, noisy images, each with one bright square that is the foreground."""
    random = np.random.default_rng(seed)
    samples = {}
    for number in range(count):
        label = np.zeros((size, size), np.uint8)
        top, left = random.integers(0, size - square + 1, 2)
        label[top : top + square, left : left + square] = 1
        noise = random.integers(0, 40, label.shape)
        samples[f"square_{number}"] = Sample((180 * label + noise)[..., None].astype("u1"), label)
    return samples


def fit_settings(**changes: Any) -> PlannedTraining:
    """Make settings for a short training."""
    plain = {
        "epochs": 2,
        "crop_size": 16,
        "crops_per_image": 2,
        "batch_size": 4,
        "tile": 64,
        "learning_rate": 0.01,
        "schedule": "constant",
        "warmup_fraction": 0.0,
        "patience": 10,
        "precision": "float32",
        "workers": 1,
        "processes": 0,
    }
    return PlannedTraining(**plain | changes)


def loss_slowly(label: NDArray[np.uint8], probability: NDArray[np.floating]) -> float:
    """Walk over the pixels of one image for "bce + dice"."""
    entropy, counted, overlap, predicted, true = 0.0, 0, 0.0, 0.0, 0
    for t, p in zip(label.ravel().tolist(), probability.ravel().tolist(), strict=True):
        if t == 255:
            continue
        chance = min(max(p, 1e-7), 1 - 1e-7)
        entropy -= np.log(chance) if t == 1 else np.log(1 - chance)
        counted += 1
        overlap += p * t
        predicted += p
        true += t
    dice_loss = 1 - (2 * overlap + 1) / (predicted + true + 1)
    return entropy / max(counted, 1) + dice_loss


def dice_slowly(label: NDArray[np.uint8], probability: NDArray[np.floating]) -> float:
    """Walk over the pixels of one image."""
    hits, found, true = 0, 0, 0
    for t, p in zip(label.ravel().tolist(), probability.ravel().tolist(), strict=True):
        if t != 255:
            found += p >= 0.5
            true += t
            hits += p >= 0.5 and t == 1
    return 2 * hits / (found + true) if found + true else 1.0


def threshold_amid(probabilities: NDArray[np.float32], percent: int = 50) -> float:
    """Return a threshold that about a percentage of pixels pass, and none by a rounding."""
    ordered = np.sort(probabilities, axis=None)
    bounds = [len(ordered) * (edge - percent) // 100 for edge in (90, 110)]
    ordered = ordered[slice(*bounds)]
    widest = int(np.diff(ordered).argmax())
    return float(ordered[widest : widest + 2].mean())
