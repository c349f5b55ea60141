"""What a confidence depends on, and where it goes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from scipy.special import expit
from skimage.segmentation import find_boundaries

from tests.support.drawn_objects import NAMES, OBJECTS, TRICKY, draw
from unetflow.instances.confidence import (
    Evidence,
    ObjectConfidence,
    Term,
    average_confidences,
    gather_evidence,
)
from unetflow.instances.export_formats import write_coco, write_geojson
from unetflow.instances.objects import Objects, find_objects, measure_objects

SURE = ObjectConfidence(
    intercept=-2.0,
    terms={
        "probability": Term(weight=5.0, low=0.5, high=0.9),
        "log_area": Term(weight=-0.5, low=0.0, high=3.0),
    },
    objects=100,
    matched=80,
    truth="objects",
)


def evidence(probability, area=4):
    """Return objects of a mean probability, all of one area and without a landscape."""
    probability = np.array(probability, float)
    areas = np.full(len(probability), area)
    missing = np.full(len(probability), np.nan)
    return Evidence(areas, areas, probability * area, probability * area, missing, missing)


@given(OBJECTS, st.integers(0, 9))
def test_evidence_is_that_of_each_object_alone(objects, seed):
    random = np.random.default_rng(seed)
    probabilities = random.random((*objects.numbers.shape, 3), np.float32)
    landscape = random.random(objects.numbers.shape, np.float32)
    outlines = find_boundaries(objects.numbers, connectivity=1, mode="inner")
    found = gather_evidence(objects, probabilities, landscape)
    for number, index in enumerate(objects.classes, start=1):
        inside = objects.numbers == number
        outline = inside & outlines
        assert (found.area[number - 1], found.outline[number - 1]) == (inside.sum(), outline.sum())
        own = probabilities[:, :, index].astype(float)
        assert found.probability[number - 1] == pytest.approx(own[inside].sum())
        assert found.outline_probability[number - 1] == pytest.approx(own[outline].sum())
        assert found.height[number - 1] == pytest.approx(landscape[inside].max())
        heights = landscape[outline].astype(float)
        assert found.outline_height[number - 1] == pytest.approx(heights.sum())


def test_features_by_hand():
    numbers = np.zeros((5, 6), np.uint32)
    numbers[1:4, 1:4] = 1
    numbers[1:4, 4] = 2
    probability = np.full((5, 6, 1), 0.5, np.float32)
    probability[2, 2], probability[1:4, 4] = 1, 0.75
    landscape = np.where(numbers == 1, 0.25, 0).astype(np.float32)
    landscape[2, 2] = 1
    objects = Objects(numbers, np.array([1, 1], np.uint8))
    features = gather_evidence(objects, probability, landscape).features()
    assert features["probability"].tolist() == pytest.approx([5 / 9, 0.75])
    assert features["outline_probability"].tolist() == pytest.approx([0.5, 0.75])
    assert features["log_area"].tolist() == pytest.approx(np.log([9, 3]))
    assert features["roundness"].tolist() == pytest.approx(
        np.log([4 * np.pi * 9 / 64, 4 * np.pi / 3])
    )
    assert features["height"].tolist() == [1, 0]
    assert features["outline_height"].tolist() == pytest.approx([0.25, 0])


def test_an_object_that_fills_the_image_has_its_inside_for_an_outline():
    objects = find_objects(draw("11", "11"))
    features = gather_evidence(objects, np.full((2, 2, 1), 0.75, np.float32), None).features()
    assert features["outline_probability"].tolist() == [0.75]
    assert np.isnan(features["height"]).all()


def test_a_confidence_is_monotone_in_a_feature_and_flat_beyond_what_was_seen():
    rated = SURE.rate(evidence(np.linspace(0, 1, 101)))
    inside = np.abs(np.linspace(0, 1, 101) - 0.7) < 0.195
    assert (np.diff(rated[inside]) > 0).all()
    assert (np.diff(rated) >= 0).all()
    assert np.ptp(rated[:51]) == np.ptp(rated[90:]) == 0
    by_hand = expit(-2 + 5 * 0.7 - 0.5 * np.log(4))
    assert SURE.rate(evidence([0.7]))[0] == pytest.approx(by_hand)
    assert len(SURE.rate(evidence([]))) == 0


def test_a_confidence_is_plain_numbers_that_are_read_back():
    text = SURE.model_dump_json()
    assert ObjectConfidence.model_validate_json(text) == SURE
    with pytest.raises(ValidationError):
        ObjectConfidence.model_validate(json.loads(text) | {"terms": {"colour": {}}})


def test_several_confidences_are_averaged_where_they_agree_on_the_features():
    other = SURE.model_copy(
        update={
            "intercept": 0.0,
            "terms": {
                "probability": Term(weight=3.0, low=0.4, high=0.8),
                "log_area": Term(weight=0.5, low=1.0, high=5.0),
            },
        }
    )
    mean = average_confidences([SURE, other])
    assert mean.intercept == -1
    assert mean.terms["probability"] == Term(weight=4.0, low=0.4, high=0.9)
    assert (mean.objects, mean.matched) == (200, 160)
    assert average_confidences([SURE, None]) is None
    assert average_confidences([SURE, other.model_copy(update={"truth": "pieces"})]) is None
    fewer = other.model_copy(update={"terms": {"log_area": other.terms["log_area"]}})
    assert average_confidences([SURE, fewer]) is None


def with_confidence(objects):
    confidence = np.linspace(0.1, 0.9, len(objects.classes))
    return Objects(objects.numbers, objects.classes, confidence)


def test_the_table_polygons_and_coco_have_the_confidence_of_each_object(tmp_path):
    sure = with_confidence(TRICKY)
    image = np.zeros((*TRICKY.numbers.shape, 1), np.uint8)
    table = measure_objects(sure, image, "a.png", NAMES)
    assert table["confidence"].tolist() == sure.confidence.tolist()
    assert measure_objects(TRICKY, image, "a.png", NAMES)["confidence"].isna().all()
    write_geojson(tmp_path / "a.geojson", sure, NAMES)
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    shown = [feature["properties"]["measurements"]["confidence"] for feature in features]
    assert shown == sure.confidence.tolist()
    write_coco(tmp_path / "a.json", [("a.png", sure)], NAMES)
    annotations = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert [annotation["score"] for annotation in annotations] == sure.confidence.tolist()


def test_the_id_of_an_object_does_not_depend_on_its_confidence(tmp_path):
    ids = []
    for objects in (TRICKY, with_confidence(TRICKY)):
        write_geojson(tmp_path / "a.geojson", objects, NAMES)
        features = json.loads((tmp_path / "a.geojson").read_text())["features"]
        ids.append([feature["id"] for feature in features])
    assert ids[0] == ids[1]


@given(hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1])))
def test_unknown_confidence_leaves_files_as_they_were(tmp_path_factory, label):
    folder = tmp_path_factory.mktemp("unsure")
    write_coco(folder / "a.json", [("a.png", find_objects(label))], NAMES)
    assert all("score" not in a for a in json.loads((folder / "a.json").read_text())["annotations"])
    write_geojson(folder / "a.geojson", find_objects(label), NAMES)
    assert "measurements" not in (folder / "a.geojson").read_text()
