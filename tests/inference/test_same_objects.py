"""The objects of an image are the same on all ways to them."""

import keras
import numpy as np
import pytest
import tifffile

from tests.support.networks import ONE_PIXEL, draw, make_segmenter
from tests.support.segmenter_settings import make_settings
from unetflow.augmentation.object_targets import object_targets
from unetflow.config.mask_export import MaskExportParameters
from unetflow.core.symmetries import MAX_VIEWS, apply_symmetry, invert_symmetry
from unetflow.core.types import OBJECT_OUTPUTS
from unetflow.inference.blockwise.result_files import ResultFolders
from unetflow.inference.ensemble import average_segmenters
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.separation import Separation, seed_landscape
from unetflow.io.image_file import ImageFile
from unetflow.pipelines.mask_export import export_masks
from unetflow.tracking.pyfunc_model import PyfuncSegmenter

BOTH = OBJECT_OUTPUTS["both"]


def touching_disks():
    """Return the numbers of 12 disks that touch each other, in a row that bends."""
    rows, columns = np.indices((90, 120))
    numbers = np.zeros((90, 120), np.uint16)
    for number in range(12):
        row, column = 20 + 13 * (number // 3), 25 + 17 * (number % 3) + 9 * (number // 3)
        numbers[(rows - row) ** 2 + (columns - column) ** 2 <= 64] = number + 1
    return numbers


@pytest.fixture(scope="module")
def image():
    """Return an image whose channels are what a network would have to find in it."""
    numbers = touching_disks()
    foreground = (numbers > 0).astype(np.uint8)[:, :, np.newaxis] * np.uint8(255)
    return np.concatenate([foreground, object_targets(numbers, BOTH)], axis=2)


@pytest.fixture(scope="module")
def reading():
    """Return a segmenter that reads the outputs from the channels of its image."""
    inputs = keras.Input((None, None, 3), name="raw_image")
    model = keras.Model(inputs, keras.layers.Rescaling(1 / 255)(inputs), name="segmenter")
    separation = Separation(seed_threshold=0.3, min_distance=5)
    settings = make_settings(
        ["background", "cell"],
        0.5,
        3,
        "uint8",
        ONE_PIXEL,
        64,
        separation=separation,
        min_object_size=10,
    )
    return Segmenter(model, settings.model_copy(update={"object_outputs": BOTH}))


def numbers_of(segmenter, image):
    return segmenter.segment(image).objects.numbers


def exported(segmenter, image, folder):
    """Return the numbers and the table of the export of an image."""
    tifffile.imwrite(folder / "a.tif", image)
    outputs = list(
        export_masks(
            segmenter,
            {"a": ImageFile(folder / "a.tif")},
            ResultFolders(folder / "labels", folder / "probabilities"),
            MaskExportParameters(runtime="keras"),
        )
    )
    instances, tables = outputs[0][4], outputs[0][7]
    return instances["a"][0], tables["a"]


def by_pyfunc(segmenter, image):
    return PyfuncSegmenter(segmenter).predict(image[np.newaxis], params={"result": "objects"})[0]


def test_the_disks_that_touch_are_separated(reading, image):
    found = numbers_of(reading, image)
    assert found.max() == 12
    np.testing.assert_array_equal(found > 0, touching_disks() > 0)


def test_segmenter_export_ensemble_and_served_model_agree(reading, image, tmp_path):
    expected = numbers_of(reading, image)
    numbers, table = exported(reading, image, tmp_path)
    np.testing.assert_array_equal(numbers, expected, strict=True)
    assert table["area_px"].tolist() == np.bincount(expected.ravel())[1:].tolist()
    np.testing.assert_array_equal(by_pyfunc(reading, image), expected, strict=True)
    ensemble = average_segmenters([reading])
    np.testing.assert_array_equal(numbers_of(ensemble, image), expected, strict=True)
    reading.save(tmp_path / "segmenter.keras")
    loaded = Segmenter.load(tmp_path / "segmenter.keras")
    np.testing.assert_array_equal(numbers_of(loaded, image), expected, strict=True)


def test_a_network_of_convolutions_gives_the_same_on_each_way(random, tmp_path):
    segmenter = make_segmenter(instances="both")
    image = draw(random, segmenter, (70, 90))
    expected = numbers_of(segmenter, image)
    assert expected.max() > 5
    np.testing.assert_array_equal(exported(segmenter, image, tmp_path)[0], expected, strict=True)
    np.testing.assert_array_equal(by_pyfunc(segmenter, image), expected, strict=True)
    found = numbers_of(average_segmenters([segmenter]), image)
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_exported_segmenters_give_the_same_objects(reading, image, tmp_path, runtime):
    reading.export(tmp_path / "exported.zip", runtime)
    loaded = Segmenter.load(tmp_path / "exported.zip")
    assert loaded.runtime.name == runtime
    np.testing.assert_array_equal(
        numbers_of(loaded, image), numbers_of(reading, image), strict=True
    )
    np.testing.assert_array_equal(by_pyfunc(loaded, image), numbers_of(reading, image))


@pytest.mark.parametrize("views", [2, MAX_VIEWS])
def test_views_average_the_outputs_for_objects_as_probabilities(random, views):
    segmenter = make_segmenter(instances="both", tile=256)
    image = draw(random, segmenter, (48, 64))
    each = [
        invert_symmetry(
            segmenter.runtime(np.ascontiguousarray(apply_symmetry(image, view))[np.newaxis])[0],
            view,
        )
        for view in range(views)
    ]
    mean = np.mean(each, axis=0)
    found = segmenter.predict_outputs(image, views=views)
    np.testing.assert_allclose(found.probabilities, mean[:, :, :1], atol=1e-5)
    np.testing.assert_allclose(found.landscape, seed_landscape(mean[:, :, 1:], BOTH), atol=1e-5)
    assert np.abs(found.landscape - segmenter.predict_outputs(image).landscape).max() > 0.01
