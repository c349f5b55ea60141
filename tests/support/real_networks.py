"""Small networks that have learnt from real data sets for a short time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
from kedro.framework.session import KedroSession
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import ROOT
from tests.support.networks import fit_settings
from tests.support.segmenter_settings import make_settings
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.records import Pair
from unetflow.augmentation.policy import Augmenter
from unetflow.config.evaluation import EvaluationParameters
from unetflow.data.intensity import measure_intensity
from unetflow.data.pair_reader import read_pair
from unetflow.data.samples import SampleRecord
from unetflow.evaluation.threshold_tuning import tune_postprocessing
from unetflow.inference.segmenter import Segmenter
from unetflow.io.formats.bounds import MAX_PIXELS
from unetflow.models.unet import build_unet, geometry_of, with_preprocessing
from unetflow.training.callbacks import TrainingListeners
from unetflow.training.fit import fit

TESTED, MOST_TRAINING, MOST_OTHERS = 20, 32, 8
EPOCHS, STEPS = 3, 80
TILE = 640
"""Longer than most images: each window is predicted with a margin around it."""
_SILENT = TrainingListeners(lambda epoch, logs: None, lambda batch: None)


@dataclass(frozen=True)
class RealSet:
    """Images of a real data set.

    Attributes:
        classes: Their names.
        tested: Twenty of all images, evenly among them in the order of their sizes.
        files: The files of these, as endings and bytes.
        training: Up to 32 images. None is among the twenty where enough are left.
        others: Up to eight that are not among the twenty, for calibration; of DRIVE, none are left.
    """

    classes: list[str]
    tested: list[SampleRecord]
    files: list[tuple[str, bytes]] = field(repr=False)
    training: list[SampleRecord]
    others: list[SampleRecord]

    @property
    def truths(self) -> list[NDArray[np.uint8]]:
        return [described.sample.label for described in self.tested]

    @property
    def images(self) -> list[NDArray[np.generic]]:
        return [described.sample.image for described in self.tested]


def read_set(name: str) -> RealSet:
    """Read a data set by the environment that comes with the project."""
    with KedroSession.create(ROOT, env=name) as session:
        context = session.load_context()
        pairs: list[Pair] = context.catalog.load("raw_pairs").pairs
        class_map = ClassMap.of(context.params["classes"], context.params["ingestion"].masks)
    order = sorted(range(len(pairs)), key=lambda number: (_pixels(pairs[number]), number))
    tested = _evenly(order, TESTED)
    rest = [number for number in order if number not in tested]
    training = _evenly(rest if len(rest) >= TESTED else order, MOST_TRAINING)
    others = _evenly(rest, MOST_OTHERS)
    read = {n: read_pair(pairs[n], class_map, MAX_PIXELS) for n in {*tested, *training, *others}}
    files = [pairs[number].image.file for number in tested]
    return RealSet(
        [one.name for one in class_map.classes],
        [read[number] for number in tested],
        [(file.suffix, file.read_bytes()) for file in files],
        [read[number] for number in training],
        [read[number] for number in others],
    )


def train(real: RealSet) -> Segmenter:
    """Train a network for some seconds, and settle threshold and temperature."""
    keras.utils.set_random_seed(0)
    samples = {str(number): one.sample for number, one in enumerate(real.training)}
    validation = {name: samples.pop(name) for name in list(samples)[3::8]}
    intensity = measure_intensity(one.histogram for one in real.training)
    channels = real.images[0].shape[2]
    several = len(real.classes) if len(real.classes) > 2 else 1
    unet = build_unet((None, None, channels), base_filters=8, depth=3, classes=several)
    for layer in unet.layers:  # so that its moving averages settle in few steps
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    settings = fit_settings(
        epochs=EPOCHS,
        crop_size=128,
        crops_per_image=max(STEPS * 4 // len(samples), 1),
        workers=2,
        tile=TILE,
        schedule="cosine",
        warmup_fraction=0.1,
        learning_rate=0.01,
    )
    fit(unet, samples, validation, intensity, Augmenter([]), settings, _SILENT, seed=3)
    dtype = str(real.images[0].dtype)
    settled = make_settings(real.classes, None, channels, dtype, geometry_of(unet), TILE)
    segmenter = Segmenter(with_preprocessing(unet, intensity), settled)
    postprocessing, _, _ = tune_postprocessing(
        segmenter.predict_probabilities,
        validation,
        len(real.classes),
        EvaluationParameters(),
        np.random.default_rng(0),
    )
    return segmenter.with_postprocessing(postprocessing)


def _evenly(numbers: Sequence[int], most: int) -> list[int]:
    places = np.linspace(0, len(numbers) - 1, min(len(numbers), most))
    return [numbers[int(place)] for place in places.round()]


def _pixels(pair: Pair) -> int:
    with pair.image.file.open("rb") as file, Image.open(file) as image:
        return image.width * image.height
