import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tests.support.drawn_objects import LABELS, NAMES, OBJECTS, draw
from unetflow.config.base import read_parameters
from unetflow.config.mask_export import ObjectParameters
from unetflow.core.errors import InputError
from unetflow.instances.objects import Objects, find_objects

STEPS = {
    "edges": [(0, 1), (1, 0), (0, -1), (-1, 0)],
    "corners": [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)],
}


def slow_pieces(label, connectivity):
    """Flood one piece after another, row by row."""
    numbers = np.zeros(label.shape, np.uint32)
    for start in np.ndindex(*label.shape):
        if label[start] in (0, 255) or numbers[start]:
            continue
        waiting, number = [start], numbers.max() + 1
        numbers[start] = number
        while waiting:
            row, column = waiting.pop()
            for down, right in STEPS[connectivity]:
                place = row + down, column + right
                inside = 0 <= place[0] < label.shape[0] and 0 <= place[1] < label.shape[1]
                if inside and not numbers[place] and label[place] == label[start]:
                    numbers[place] = number
                    waiting.append(place)
    return numbers


def slow_seeds(distance, piece, settings):
    """Keep the highest maxima of a piece that are far enough apart."""
    reach, seeds = settings.min_distance, []
    places = np.argwhere(piece & (distance >= settings.min_height))
    for row, column in sorted(places.tolist(), key=lambda p: (-distance[tuple(p)], p)):
        window = (
            slice(max(row - reach, 0), row + reach + 1),
            slice(max(column - reach, 0), column + reach + 1),
        )
        highest = distance[window][piece[window]].max() == distance[row, column]
        if highest and all(np.hypot(row - r, column - c) >= reach for r, c in seeds):
            seeds.append((row, column))
    return seeds


def two_discs(apart):
    rows, columns = np.mgrid[:30, :50]
    first = np.hypot(rows - 15, columns - 15) < 10
    return (first | (np.hypot(rows - 15, columns - 15 - apart) < 10)).astype(np.uint8)


@given(LABELS, st.sampled_from(list(STEPS)))
def test_components_equal_flooding_piece_by_piece(label, connectivity):
    found = find_objects(label, ObjectParameters(connectivity=connectivity))
    np.testing.assert_array_equal(found.numbers, slow_pieces(label, connectivity), strict=True)
    for number, index in enumerate(found.classes.tolist(), start=1):
        assert set(label[found.numbers == number].tolist()) == {index}


def test_touching_classes_and_ignored_pixels_separate_objects():
    found = find_objects(draw("1122", "1#2.", "##..", "1..1"))
    np.testing.assert_array_equal(found.numbers, draw("1122", "1.2.", "....", "3..4"))
    assert found.classes.tolist() == [1, 2, 1, 1]
    assert found.name_classes(NAMES) == ["nucleus", "cell", "nucleus", "nucleus"]


def test_pixels_that_touch_at_a_corner_are_connected_only_by_corners():
    label = draw("1.", ".1")
    assert find_objects(label).classes.tolist() == [1]
    assert find_objects(label, ObjectParameters(connectivity="edges")).classes.tolist() == [1, 1]


@given(LABELS, st.sampled_from(list(STEPS)), st.integers(1, 3), st.sampled_from([0.5, 1, 1.5, 2]))
def test_watershed_splits_pieces_without_losing_pixels(label, connectivity, distance, height):
    settings = ObjectParameters(
        method="watershed", connectivity=connectivity, min_distance=distance, min_height=height
    )
    found = find_objects(label, settings)
    np.testing.assert_array_equal(found.numbers > 0, (label > 0) & (label < 255))
    assert found.numbers.dtype == np.uint32
    pieces = slow_pieces(label, connectivity)
    first = []
    for number, index in enumerate(found.classes.tolist(), start=1):
        mine = found.numbers == number
        assert set(label[mine].tolist()) == {index}
        assert len(set(pieces[mine].tolist())) == 1
        assert ndimage.label(mine, np.ones((3, 3)) if connectivity == "corners" else None)[1] == 1
        first.append(np.flatnonzero(mine)[0])
    assert first == sorted(first)


def test_each_piece_has_an_object_for_each_seed_of_the_declared_rule():
    settings = ObjectParameters(method="watershed", min_distance=4, min_height=2)
    counts = []
    for seed in range(12):
        noise = np.random.default_rng(seed).normal(0, 1, (40, 40))
        smooth = ndimage.gaussian_filter(noise, 2.5)
        label = (smooth > 0).astype(np.uint8) + (smooth > 0.1)
        found = find_objects(label, settings)
        pieces = slow_pieces(label, "corners")
        for number in range(1, int(pieces.max()) + 1):
            piece = pieces == number
            distance = ndimage.distance_transform_edt(label == label[piece][0])
            seeds = slow_seeds(distance, piece, settings)
            assert len(np.unique(found.numbers[piece])) == max(len(seeds), 1)
            assert len({int(found.numbers[seed]) for seed in seeds}) == len(seeds)
            counts.append(len(seeds))
    assert {0, 1, 2} < set(counts)


def test_overlapping_discs_are_split_where_they_meet():
    label = two_discs(apart=16)
    assert len(find_objects(label).classes) == 1
    found = find_objects(label, ObjectParameters(method="watershed"))
    # Half-way between the centres at columns 15 and 31
    assert set(np.unique(found.numbers[:, :23])) == {0, 1}
    assert set(np.unique(found.numbers[:, 24:])) == {0, 2}


def test_seeds_nearer_than_the_distance_leave_one_object():
    found = find_objects(two_discs(apart=16), ObjectParameters(method="watershed", min_distance=17))
    assert len(found.classes) == 1


def test_a_piece_thinner_than_the_height_stays_one_object():
    label = np.zeros((9, 60), np.uint8)
    label[3:6] = 1  # two pixels from its middle to the background
    assert len(find_objects(label, ObjectParameters(method="watershed", min_height=2)).classes) > 1
    assert (
        len(find_objects(label, ObjectParameters(method="watershed", min_height=2.01)).classes) == 1
    )


def test_image_of_a_single_class_is_one_object():
    found = find_objects(
        np.ones((20, 30), np.uint8), ObjectParameters(method="watershed", min_distance=2)
    )
    np.testing.assert_array_equal(found.numbers, 1)
    assert found.classes.tolist() == [1]


@pytest.mark.parametrize("method", ["components", "watershed"])
def test_an_image_without_objects(method):
    found = find_objects(draw("0#", "##"), ObjectParameters(method=method))
    assert not found.numbers.any()
    assert (found.numbers.dtype, found.classes.dtype) == (np.uint32, np.uint8)
    assert found.name_classes(NAMES) == []


@given(OBJECTS)
def test_objects_are_numbered_from_one_without_gaps(objects):
    assert np.unique(objects.numbers[objects.numbers > 0]).tolist() == list(
        range(1, len(objects.classes) + 1)
    )


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"method": "magic"}, "objects.method"),
        ({"connectivity": "faces"}, "objects.connectivity"),
        ({"min_distance": 0}, "objects.min_distance"),
        ({"min_distance": 2.5}, "objects.min_distance"),
        ({"min_distance": True}, "objects.min_distance"),
        ({"min_height": 0}, "objects.min_height"),
        ({"min_height": float("nan")}, "objects.min_height"),
        ({"min_height": "2"}, "objects.min_height"),
    ],
)
def test_parameters_that_cannot_be_used_are_named(wrong, named):
    with pytest.raises(InputError) as caught:
        read_parameters(ObjectParameters, wrong, "objects")
    assert caught.value.where == named


def test_a_class_without_a_name_is_an_error():
    with pytest.raises(InputError, match="objects of class 2, but only 2 names"):
        Objects(np.array([[1]], np.uint32), np.array([2], np.uint8)).name_classes(["a", "b"])
