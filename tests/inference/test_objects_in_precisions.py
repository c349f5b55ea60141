"""The objects that a trained network finds in bfloat16 and int8 are those that Keras finds."""

import keras
import numpy as np
import pytest

from tests.inference.test_runtimes import SILENT, speaks_bfloat16
from tests.support.networks import GREY, fit_settings, tiny_unet
from tests.support.segmenter_settings import make_settings
from unetflow.augmentation.object_targets import object_targets
from unetflow.augmentation.policy import Augmenter
from unetflow.core.types import OBJECT_OUTPUTS
from unetflow.data.samples import Sample
from unetflow.evaluation.object_matching import match_objects
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.objects import find_objects
from unetflow.instances.separation import Separation
from unetflow.models.unet import geometry_of, with_preprocessing
from unetflow.training.fit import fit

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("runtimes")]

BOTH = OBJECT_OUTPUTS["both"]
EDGE = 96
TESTED = 12
MOST_LOST = 0.01
"""Of the F1 of found objects, in comparison with Keras. Of 12 images with about 20 objects each, at
most two may be others: those on the verge of a seed, or of touching."""


def touching_cells(count, seed):
    """Return samples of dim, noisy images of bright disks that touch, with their numbers."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices((EDGE, EDGE))
    made = []
    for _ in range(count):
        numbers = np.zeros((EDGE, EDGE), np.uint16)
        for number in range(1, 41):
            row, column = random.integers(4, EDGE - 4, 2)
            radius = random.integers(6, 11)
            disk = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
            if np.mean(numbers[disk] > 0) < 0.1:  # it touches others, and hides none
                numbers[disk & (numbers == 0)] = number
        targets = object_targets(numbers, BOTH)
        brightness = 40 + 120 * (numbers > 0) - 40.0 * (targets[:, :, 0] > 0)
        image = brightness + random.normal(0, 12, numbers.shape)
        label = (numbers > 0).astype(np.uint8)
        pixels = image.clip(0, 255).astype(np.uint8)[:, :, np.newaxis]
        made.append((Sample(pixels, label, object_targets=targets), numbers))
    return made


@pytest.fixture(scope="module")
def trained():
    """Return a segmenter that has learned to separate the cells."""
    keras.utils.set_random_seed(0)
    unet = tiny_unet(base_filters=8, depth=2, instances="both")
    training, validation = (
        {str(n): sample for n, (sample, _) in enumerate(touching_cells(count, seed))}
        for count, seed in ((12, 1), (2, 2))
    )
    settings = fit_settings(epochs=15, crop_size=48, crops_per_image=4)
    fit(unet, training, validation, GREY, Augmenter([]), settings, SILENT, seed=3)
    separation = Separation(seed_threshold=0.3, min_distance=4)
    known = make_settings(
        ["background", "cell"], 0.5, 1, "uint8", geometry_of(unet), 128, separation=separation
    )
    changes = {"object_outputs": BOTH, "objects_numbered": True}
    return Segmenter(with_preprocessing(unet, GREY), known.model_copy(update=changes))


@pytest.fixture(scope="module")
def cells():
    return touching_cells(TESTED, seed=7)


@pytest.fixture(scope="module")
def found(trained, cells):
    """Return the objects that Keras finds in each image."""
    return [trained.segment(sample.image).objects for sample, _ in cells]


@pytest.fixture(scope="module")
def on_openvino(trained):
    return trained.convert("openvino")


def f1(segmenter, cells, expected):
    """Return the F1 of a segmenter's objects at IoU 0.5, over all images together."""
    matched = both = 0
    for (sample, _), numbers in zip(cells, expected, strict=True):
        objects = segmenter.segment(sample.image).objects
        matched += int(match_objects(np.ones_like(sample.label), numbers, objects)[1].sum())
        both += len(objects.classes) + len(np.unique(numbers)) - 1
    return 2 * matched / both


def test_the_network_has_learned_to_separate_cells_that_touch(trained, cells, found):
    assert f1(trained, cells, [numbers for _, numbers in cells]) > 0.8
    objects = sum(len(one.classes) for one in found)
    pieces = sum(len(find_objects(trained.predict(sample.image)).classes) for sample, _ in cells)
    assert objects > 150
    assert objects > 1.5 * pieces


@pytest.mark.parametrize("precision", ["bfloat16", "int8", "int8 and bfloat16"])
def test_objects_in_other_precisions_are_those_of_keras(
    trained, cells, found, on_openvino, precision
):
    if "bfloat16" in precision and not speaks_bfloat16():
        pytest.skip("this processor does not support bfloat16")
    exported = on_openvino
    if "int8" in precision:
        exported = exported.quantised([sample.image for sample, _ in touching_cells(8, seed=8)])
    quick = Segmenter.start(exported, "bfloat16" if "bfloat16" in precision else "float32")
    outputs = [one.predict_outputs(cells[0][0].image) for one in (quick, trained)]
    assert np.abs(outputs[0].landscape - outputs[1].landscape).max() > 1e-4  # another precision
    assert f1(quick, cells, [objects.numbers for objects in found]) > 1 - MOST_LOST
    truths = [numbers for _, numbers in cells]
    assert f1(quick, cells, truths) > f1(trained, cells, truths) - MOST_LOST
    for (sample, _), objects in zip(cells, found, strict=True):
        count = len(quick.segment(sample.image).objects.classes)
        assert abs(count - len(objects.classes)) <= 1
