"""The same object has the same confidence on all paths."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from tests.instances.test_confidence import SURE
from tests.support.networks import threshold_amid
from unetflow.config.mask_export import MaskExportParameters, ObjectParameters
from unetflow.inference.ensemble import average_segmenters
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.segment import segment
from unetflow.inference.segmenter import Segmenter
from unetflow.inference.segmenter_files import Exported
from unetflow.io.image_file import ImageFile


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(3).integers(0, 256, (70, 90, 1), np.uint8)


@pytest.fixture(scope="module")
def sure(segmenter, image):
    """A segmenter whose objects have a confidence, and no pixel that depends on rounding."""
    threshold = threshold_amid(segmenter.predict_probabilities(image))
    return segmenter.with_postprocessing(Postprocessing(threshold=threshold, confidence=SURE))


@pytest.fixture(scope="module")
def expected(sure, image):
    """The confidence of each object in an evaluation."""
    confidence = sure.segment(image).objects.confidence
    assert len(confidence) > 5
    assert np.ptp(confidence) > 0.01
    return confidence


def test_an_export_gives_the_confidence_of_the_evaluation(sure, image, expected, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", image[:, :, 0])
    files = {"a": ImageFile(tmp_path / "a.tif")}
    ((_, found),) = segment(sure, files, MaskExportParameters())
    assert found.table["confidence"].tolist() == expected.tolist()
    assert found.objects.confidence.tolist() == expected.tolist()
    other = MaskExportParameters(objects=ObjectParameters(method="watershed"))
    ((_, found),) = segment(sure, files, other)
    assert found.table["confidence"].isna().all()


def test_a_saved_segmenter_and_an_ensemble_of_one_give_it(sure, image, expected, tmp_path):
    sure.save(tmp_path / "sure.keras")
    loaded = Segmenter.load(tmp_path / "sure.keras")
    assert loaded.postprocessing == sure.postprocessing
    np.testing.assert_allclose(loaded.segment(image).objects.confidence, expected, atol=1e-6)
    ensemble = average_segmenters([sure])
    np.testing.assert_allclose(ensemble.segment(image).objects.confidence, expected, atol=1e-6)


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_an_exported_segmenter_gives_it(exports, sure, image, expected, tmp_path, runtime):
    exported = replace(exports[runtime], settings=sure.settings)
    exported.write(tmp_path / "sure.zip")
    assert Exported.read(tmp_path / "sure.zip").settings == sure.settings
    loaded = Segmenter.load(tmp_path / "sure.zip")
    np.testing.assert_allclose(loaded.segment(image).objects.confidence, expected, atol=1e-5)
