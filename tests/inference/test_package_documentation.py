"""What the documentation of a package for bioimage.io says about objects, and whether it is so."""

import re

import numpy as np
import pytest

from unetflow.augmentation.object_targets import object_targets
from unetflow.config.mask_export import ObjectParameters
from unetflow.config.packaging import PackagingParameters
from unetflow.core.geometry import Geometry
from unetflow.core.types import OBJECT_OUTPUTS
from unetflow.inference.bioimageio.documentation import write_readme
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
from unetflow.inference.segmenter_files import SegmenterSettings
from unetflow.instances.separation import Separation, seed_landscape

SHAPE = (100, 120)
CLASSES = ["background", "cell", "boundary"]


def settings_of(classes, instances, **postprocessing):
    return SegmenterSettings(
        classes=classes,
        channels=1,
        dtype="uint8",
        geometry=Geometry(stride=4, remainder=0, shrink=0, margin=8),
        tile=64,
        postprocessing=Postprocessing(**postprocessing),
        object_outputs=OBJECT_OUTPUTS[instances],
    )


def noisy_output(classes, outputs):
    """Return what a network could give for blobs: probabilities and noisy outputs for objects."""
    random = np.random.default_rng(1)
    rows, columns = np.indices(SHAPE)
    numbers = np.zeros(SHAPE, np.uint16)
    for number, (row, column) in enumerate(random.integers(0, SHAPE, (40, 2)), start=1):
        numbers[(rows - row) ** 2 + (columns - column) ** 2 <= random.integers(2, 80)] = number
    label = np.where(numbers > 0, 1 + numbers % max(classes - 1, 1), 0)
    noise = random.uniform(-0.3, 0.3, (*SHAPE, len(outputs))).astype("f4")
    more = noise
    if outputs:
        more = np.clip(object_targets(numbers, outputs) / np.float32(255) + noise, 0, 1)
    found = (np.arange(classes) == label[:, :, np.newaxis]) + random.uniform(
        0, 0.9, (*SHAPE, classes)
    )
    probabilities = (found / found.sum(axis=2, keepdims=True)).astype("f4")
    return probabilities if classes > 2 else probabilities[:, :, 1:], more


def read(settings, probabilities):
    names = settings.classes[-probabilities.shape[2] :]
    return write_readme(PackagingParameters(), settings, names, None)


def run_snippet(text, output, folder, monkeypatch):
    """Return the objects that the snippet finds in a network's output."""
    np.save(folder / "test_output.npy", output[np.newaxis])
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(folder)
    found = {}
    exec(code, found)  # noqa: S102 - it is our own
    return found["objects"]


def assert_same_partition(found, expected):
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    np.testing.assert_array_equal(found > 0, expected > 0)


@pytest.mark.parametrize("instances", [*OBJECT_OUTPUTS, "fitted"])
@pytest.mark.parametrize(
    "tuned",
    [
        {"threshold": 0.5, "temperature": 1.3, "min_object_size": 25},
        {"threshold": 0.4},
        {"threshold": None},
    ],
)
@pytest.mark.parametrize("distance", [1, 6])
def test_the_snippet_gives_the_objects_of_the_segmenter(
    tmp_path, monkeypatch, instances, tuned, distance
):
    classes = CLASSES if tuned["threshold"] is None else CLASSES[:2]
    separation = fitted = None
    if instances == "fitted":
        instances = "none"
        fitted = ObjectParameters(method="watershed", min_distance=distance, min_height=1.5)
    elif instances != "none":
        prominence = {1: 0.0, 6: 0.05}[distance]
        separation = Separation(seed_threshold=0.25, min_distance=distance, prominence=prominence)
    settings = settings_of(classes, instances, separation=separation, fitted=fitted, **tuned)
    probabilities, outputs = noisy_output(len(classes), settings.object_outputs)
    text = read(settings, probabilities)
    output = np.concatenate([probabilities, outputs], axis=2)
    found = run_snippet(text, output, tmp_path, monkeypatch)
    own = settings.postprocessing
    landscape = seed_landscape(outputs, settings.object_outputs) if separation else None
    expected = (
        own.with_objects(ObjectParameters())
        .segment(NetworkOutputs(own.calibrate(probabilities), landscape))
        .objects.numbers
    )
    assert expected.max() > 10
    assert_same_partition(found, expected)


def test_the_numbers_are_named():
    separation = Separation(seed_threshold=0.3, min_distance=8, prominence=0.15)
    settings = settings_of(
        CLASSES[:2],
        "both",
        threshold=0.6,
        temperature=1.7,
        min_object_size=28,
        separation=separation,
    )
    text = read(settings, np.zeros((1, 1, 1)))
    for told in (
        "logits are divided by the temperature, 1.7; on that scale the threshold is 0.6",
        "Remove connected pieces of fewer than 28 pixels",
        "`distance * (1 - boundary)`",
        "standard deviation of 2.0 pixels",
        "at least 0.3 high, and at least 8 pixels apart",
        "the landscape falls by at least 0.15",
        "objects of fewer than 28 pixels",
        "probability of cell. Then the outputs for objects, also from 0 to 1: object boundary, the",
        "config.unetflow",
    ):
        assert told in text


def test_a_fitted_watershed_is_described():
    fitted = ObjectParameters(method="watershed", min_distance=7, min_height=2.5)
    text = read(settings_of(CLASSES[:2], "none", threshold=0.5, fitted=fitted), np.zeros((1, 1, 1)))
    assert "at least 2.5 high, and at least 7 pixels apart" in text


def test_without_outputs_for_objects_touching_ones_are_said_to_be_counted_as_one():
    text = read(settings_of(CLASSES[:2], "none", threshold=0.5), np.zeros((1, 1, 1)))
    assert "objects that touch are counted as one" in text
    assert "watershed" not in text
    assert "outputs for objects" not in text
