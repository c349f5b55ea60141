import json
import uuid

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label as connected_components

from tests.support.drawn_objects import NAMES, OBJECTS, TRICKY, draw, fill
from unetflow.core.errors import InputError
from unetflow.instances.contours import trace_outlines
from unetflow.instances.export_formats import write_geojson
from unetflow.instances.objects import Objects
from unetflow.visualization.overlays import CLASS_COLOURS

NUMBERS = hnp.arrays(
    np.uint32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=10),
    elements=st.sampled_from([0, 1, 1, 2, 4_000_000_000]),
)


def pixels_of(geometry, shape):
    """Ask shapely which pixels have their middle inside."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return shapely.contains_xy(geometry, columns + 0.5, rows + 0.5)


def read_features(path):
    content = json.loads(path.read_text())
    assert content["type"] == "FeatureCollection"
    return content["features"]


@given(NUMBERS)
def test_outlines_are_valid_and_give_back_exactly_the_pixels_of_each_object(numbers):
    outlines = trace_outlines(numbers)
    assert list(outlines) == np.unique(numbers[numbers > 0]).tolist()
    for number, polygons in outlines.items():
        mask = numbers == number
        geometry = shapely.MultiPolygon([(polygon[0], polygon[1:]) for polygon in polygons])
        assert shapely.is_valid_reason(geometry) == "Valid Geometry"
        assert geometry.area == mask.sum()
        np.testing.assert_array_equal(pixels_of(geometry, mask.shape), mask)
        rings = [ring for polygon in polygons for ring in polygon]
        np.testing.assert_array_equal(fill(rings, mask.shape), mask)


@given(NUMBERS)
def test_rings_are_minimal_and_holes_have_the_opposite_direction(numbers):
    for polygons in trace_outlines(numbers).values():
        for outer, *holes in polygons:
            # Against the clock where y goes up, as RFC 7946 asks; with the clock on the screen
            assert shapely.LinearRing(outer).is_ccw
            assert not any(shapely.LinearRing(hole).is_ccw for hole in holes)
            for ring in (outer, *holes):
                level = (ring == np.roll(ring, -1, axis=0))[:, 1]
                assert level.tolist() == [n % 2 == 0 for n in range(len(ring))]


def test_a_pixel_has_four_corners():
    (polygon,) = trace_outlines(draw("...", "..7"))[7]
    assert [ring.tolist() for ring in polygon] == [[[2, 1], [3, 1], [3, 2], [2, 2]]]


def test_holes_that_meet_at_a_corner_are_two_rings():
    (polygon,) = trace_outlines(draw("1111", "1.11", "11.1", "1111"))[1]
    assert [ring.tolist() for ring in polygon[1:]] == [
        [[1, 2], [2, 2], [2, 1], [1, 1]],
        [[2, 3], [3, 3], [3, 2], [2, 2]],
    ]


def test_a_hole_that_meets_the_outside_at_a_corner_stays_a_hole():
    (polygon,) = trace_outlines(draw("111", "1.1", "11."))[1]
    outer, hole = polygon
    assert len(outer) == 6
    assert hole.tolist() == [[1, 2], [2, 2], [2, 1], [1, 1]]


def test_parts_that_meet_at_a_corner_are_two_polygons():
    first, second = trace_outlines(draw("1.", ".1"))[1]
    assert first[0].tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]
    assert second[0].tolist() == [[1, 1], [2, 1], [2, 2], [1, 2]]


@given(objects=OBJECTS, kind=st.sampled_from(["annotation", "detection"]))
def test_geojson_read_by_shapely_gives_back_the_pixels(tmp_path_factory, objects, kind):
    path = tmp_path_factory.mktemp("geojson") / "a.geojson"
    write_geojson(path, objects, NAMES, kind)
    features = read_features(path)
    assert len(features) == len(objects.classes)
    drawn = np.zeros(objects.numbers.shape, np.uint32)
    for number, feature in enumerate(features, start=1):
        geometry = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert geometry.is_valid
        inside = pixels_of(geometry, drawn.shape)
        assert not drawn[inside].any()
        drawn[inside] = number
        name = NAMES[objects.classes[number - 1]]
        assert feature["properties"]["name"] == f"{name} {number}"
        assert feature["properties"]["objectType"] == kind
        assert feature["properties"]["classification"]["name"] == name
    np.testing.assert_array_equal(drawn, objects.numbers)


def test_a_feature_is_what_qupath_reads(tmp_path):
    write_geojson(tmp_path / "a.geojson", TRICKY, NAMES)
    features = read_features(tmp_path / "a.geojson")
    assert features[0]["geometry"] == {
        "type": "Polygon",
        "coordinates": [
            [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]],
            [[1, 2], [2, 2], [2, 1], [1, 1], [1, 2]],
            [[2, 3], [3, 3], [3, 2], [2, 2], [2, 3]],
        ],
    }
    uuid.UUID(features[1].pop("id"))
    assert features[1] == {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[[5, 0], [6, 0], [6, 1], [5, 1], [5, 0]]]},
        "properties": {
            "objectType": "annotation",
            "name": "cell 2",
            "classification": {"name": "cell", "color": list(CLASS_COLOURS[1])},
        },
    }
    assert [f["geometry"]["type"] for f in features[2:]] == ["Polygon", "MultiPolygon", "Polygon"]


def test_no_objects_are_an_empty_collection(tmp_path):
    empty = Objects(np.zeros((4, 5), np.uint32), np.zeros(0, np.uint8))
    write_geojson(tmp_path / "a.geojson", empty, NAMES)
    assert read_features(tmp_path / "a.geojson") == []


def test_unknown_kind_is_refused_and_the_old_file_kept(tmp_path):
    write_geojson(tmp_path / "a.geojson", TRICKY, NAMES)
    before = (tmp_path / "a.geojson").read_bytes()
    with pytest.raises(InputError, match="'annotation' or 'detection'"):
        write_geojson(tmp_path / "a.geojson", TRICKY, NAMES, "tile")
    with pytest.raises(InputError, match="1 names"):
        write_geojson(tmp_path / "a.geojson", TRICKY, ["background"])
    assert [p.name for p in tmp_path.iterdir()] == ["a.geojson"]
    assert (tmp_path / "a.geojson").read_bytes() == before


def test_ids_of_objects_are_unique_and_stable(tmp_path):
    for name in ("a", "b"):
        write_geojson(tmp_path / f"{name}.geojson", TRICKY, NAMES)
    write_geojson(tmp_path / "other.geojson", TRICKY, ["background", "nucleus", "other cell"])
    ids = {
        name: [uuid.UUID(feature["id"]) for feature in read_features(tmp_path / f"{name}.geojson")]
        for name in ("a", "b", "other")
    }
    assert ids["a"] == ids["b"]
    assert len(set(ids["a"])) == len(TRICKY.classes) == 5
    kept = [one == other for one, other in zip(ids["a"], ids["other"], strict=True)]
    assert kept == [index == 1 for index in TRICKY.classes]


@settings(deadline=None, max_examples=30)  # the first call imports half a second's worth
@given(objects=OBJECTS)
def test_geojson_read_by_geopandas_gives_back_the_pixels(tmp_path_factory, objects):
    path = tmp_path_factory.mktemp("geojson") / "a.geojson"
    write_geojson(path, objects, NAMES)
    if not len(objects.classes):
        return
    table = geopandas.read_file(path)
    assert len(table) == len(objects.classes)
    assert table.geometry.is_valid.all()
    assert table["objectType"].unique().tolist() == ["annotation"]
    drawn = np.zeros(objects.numbers.shape, np.uint32)
    for number, (geometry, name) in enumerate(zip(table.geometry, table["name"], strict=True), 1):
        assert name == f"{NAMES[objects.classes[number - 1]]} {number}"
        assert geometry.area == (objects.numbers == number).sum()
        drawn[pixels_of(geometry, drawn.shape)] = number
    np.testing.assert_array_equal(drawn, objects.numbers)
    holes = sum(len(part.interiors) for part in table.geometry.explode().array)
    assert holes == count_holes(objects.numbers)


def count_holes(numbers):
    """Count the places that an object of 4-connected parts is all around."""
    count = 0
    for part in np.unique(parts := connected_components(numbers, background=0, connectivity=1)):
        if part:
            outside = np.pad(parts != part, 1, constant_values=True)
            count += connected_components(outside, connectivity=1).max() - 1
    return count
