"""Fixtures of the tests that need networks."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # must be set before TensorFlow is imported

import keras
import numpy as np
import pytest

from tests.support.networks import randomise, square_samples, tiny_unet
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.segmenter import Segmenter, SegmenterSettings
from unetflow.inference.segmenter_files import Exported
from unetflow.models.unet import geometry_of, with_preprocessing

__all__ = [
    "_same_chance",
    "exports",
    "other_squares",
    "random",
    "segmenter",
    "squares",
]


@pytest.fixture(autouse=True)
def _same_chance() -> None:
    keras.utils.set_random_seed(0)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def squares() -> dict[str, Sample]:
    return square_samples(6, seed=1)


@pytest.fixture(scope="session")
def other_squares() -> dict[str, Sample]:
    return square_samples(3, seed=2)


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    """A segmenter of depth 2 with random weights; it is never trained."""
    unet = randomise(tiny_unet(depth=2), seed=4)
    model = with_preprocessing(unet, IntensityRange(low=[10.0], high=[200.0]))
    settings = SegmenterSettings(
        classes=["background", "nucleus"],
        channels=1,
        dtype="uint8",
        geometry=geometry_of(unet),
        tile=64,
        postprocessing=Postprocessing(threshold=0.4),
    )
    return Segmenter(model, settings)


@pytest.fixture(scope="session")
def exports(segmenter: Segmenter) -> dict[str, Exported]:
    """The same segmenter for other runtimes: each conversion costs seconds."""
    return {runtime: segmenter.convert(runtime) for runtime in ("openvino", "onnx")}
