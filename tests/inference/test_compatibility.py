"""Segmenters that version 0.1.0 wrote, before the parameters of the postprocessing were renamed."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.conftest import ROOT
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.segmenter import Segmenter

BEFORE = ROOT / "tests/data/before"
RENAMED = r"'minimum_object_size' is now 'postprocessing\.min_object_size'"


def load(name: str) -> Segmenter:
    with pytest.warns(FutureWarning, match=RENAMED) as caught:
        segmenter = Segmenter.load(BEFORE / name)
    assert len(caught) == 1
    return segmenter


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return tifffile.imread(BEFORE / "image.tif")


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return tifffile.imread(BEFORE / "label_before.tif")


def test_an_earlier_segmenter_predicts_the_same(image, expected):
    segmenter = load("segmenter_before.keras")
    found = segmenter.predict_probabilities(image)
    before = np.load(BEFORE / "probabilities_before.npy")
    # The last bits depend on the processor's instructions.
    np.testing.assert_allclose(found, before, rtol=0, atol=2e-6, strict=True)
    np.testing.assert_array_equal(segmenter.predict(image), expected, strict=True)
    assert segmenter.settings.seen is not None


def test_an_earlier_segmenter_that_is_saved_again_loads_without_a_warning(tmp_path: Path):
    segmenter = load("segmenter_before.keras")
    assert segmenter.postprocessing.min_object_size == 213
    assert segmenter.postprocessing.temperature == pytest.approx(0.41, abs=0.005)
    segmenter.save(tmp_path / "again.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = Segmenter.load(tmp_path / "again.keras")
    assert again.settings == segmenter.settings
    assert isinstance(again.postprocessing, Postprocessing)


@pytest.mark.parametrize("name", ["openvino_before.zip", "onnx_before.zip"])
def test_earlier_exports_predict_the_same_label(name, image, expected):
    exported = load(name)
    probabilities = np.load(BEFORE / "probabilities_before.npy")
    np.testing.assert_allclose(exported.predict_probabilities(image), probabilities, atol=2e-6)
    np.testing.assert_array_equal(exported.predict(image), expected, strict=True)


def test_an_earlier_export_in_int8_still_predicts(image, expected):
    found = load("openvino_int8_before.zip").predict(image)
    assert np.mean(found != expected) < 0.02
