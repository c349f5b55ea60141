"""The confidence of objects that are found block by block is that of the whole image."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.inference.test_block_objects import PIXELS, SHAPE, whole_objects
from tests.instances.test_confidence import SURE
from tests.support.drawn_objects import LABELS
from tests.support.large_files import (
    GEOMETRIES,
    Function,
    as_segmenter,
    cheap_segmenter,
    in_memory,
    learned_segmenter,
)
from unetflow.config.mask_export import MaskExportParameters, ObjectParameters
from unetflow.inference.blockwise.object_confidence import gather_regions
from unetflow.inference.blockwise.object_numbers import number_regions
from unetflow.inference.blockwise.segment_blocks import segment_blocks
from unetflow.inference.postprocessing import Postprocessing
from unetflow.instances.confidence import Term, gather_evidence
from unetflow.instances.large_measurements import measure_large_objects
from unetflow.instances.objects import find_objects

SURER = SURE.model_copy(
    update={
        "terms": SURE.terms
        | {
            "outline_probability": Term(weight=2.0, low=0.0, high=1.0),
            "roundness": Term(weight=0.7, low=-9.0, high=9.0),
            "height": Term(weight=3.0, low=0.0, high=1.0),
            "outline_height": Term(weight=-2.0, low=0.0, high=1.0),
        }
    }
)


@pytest.fixture(autouse=True)
def small_regions(monkeypatch):
    """Let regions and halos be small against the image."""
    store = "unetflow.inference.blockwise.block_store"
    monkeypatch.setattr(f"{store}.number_regions", partial(number_regions, edge=50, halo=64))
    monkeypatch.setattr(f"{store}.gather_regions", partial(gather_regions, edge=40))


@given(LABELS, st.integers(1, 5), st.booleans())
def test_evidence_of_regions_adds_up(label, edge, has_landscape):
    random = np.random.default_rng(edge)
    certainty, hills = random.random((2, *label.shape), np.float32)
    landscape = hills if has_landscape else None
    objects = find_objects(label)
    whole = gather_evidence(objects, certainty[:, :, np.newaxis], landscape)
    found = gather_regions(objects.numbers, len(objects.classes), certainty, landscape, edge=edge)
    for sums, expected in zip(found, whole, strict=True):
        np.testing.assert_allclose(sums, expected, rtol=1e-12)
        assert sums.dtype == expected.dtype


def three_classes():
    """Return a segmenter of three classes by brightness."""

    def predict(batch):
        share = batch[:, :, :, :1] / np.float32(65535)
        return np.concatenate([share / 2, 1 - share, share / 1.9], axis=3).astype(np.float32)

    tuned = Postprocessing(threshold=None, confidence=SURE)
    runtime = Function(predict, outputs=3)
    return as_segmenter(runtime, GEOMETRIES["local"], 16, tuned, classes=3)


SEGMENTERS = {
    "components": cheap_segmenter(threshold=0.55, min_object_size=9, confidence=SURE),
    "learned": learned_segmenter(min_object_size=12, confidence=SURER),
    "unseparated": learned_segmenter(separation=None, threshold=0.55, confidence=SURER),
    "classes": three_classes(),
}


def by_blocks(segmenter, tmp_path, **wanted):
    return segment_blocks(
        segmenter,
        in_memory(PIXELS),
        tmp_path / "a.tif",
        instances=tmp_path / "n.tif",
        wanted=MaskExportParameters(**wanted),
        block=50,
    ).objects


@pytest.mark.parametrize("name", SEGMENTERS)
def test_the_confidence_is_that_of_the_whole_image(tmp_path, name):
    segmenter = SEGMENTERS[name]
    found, whole = by_blocks(segmenter, tmp_path), whole_objects(segmenter)
    assert len(whole.confidence) > 20
    assert np.ptp(whole.confidence) > 0.01
    np.testing.assert_allclose(found.confidence, whole.confidence, rtol=1e-9)
    pixels = in_memory(PIXELS.reshape(*SHAPE, 1))
    table = measure_large_objects(found, pixels, "a", segmenter.settings.classes)
    assert table["confidence"].tolist() == found.confidence.tolist()


def test_another_method_than_that_of_the_fit_has_none(tmp_path):
    other = ObjectParameters(method="components")
    assert by_blocks(SEGMENTERS["learned"], tmp_path, objects=other).confidence is None
