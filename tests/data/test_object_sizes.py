import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unetflow.data.object_sizes import (
    LOST_PERCENTAGES,
    PERCENTILES,
    ObjectStatistics,
    RemovalCost,
    SmallestObjects,
    measure_object_sizes,
    measure_pieces,
    summarise_objects,
)

NUMBERS = hnp.arrays(
    np.uint16,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.sampled_from([0, 0, 0, 1, 2, 5]),
)


def touching_slowly(numbers):
    found = set()
    for row, column in np.ndindex(numbers.shape):
        around = numbers[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        here = numbers[row, column]
        if here and np.any((around > 0) & (around != here)):
            found.add(here)
    return len(found)


@pytest.mark.parametrize(
    ("drawing", "areas", "touching"),
    [
        ("110 / 002 / 000", [2, 1], 2),  # across a corner
        ("101 / 000 / 220", [2, 2], 0),  # an object in two pieces
        ("1102", [2, 1], 0),
        ("111 / 121 / 111", [8, 1], 2),  # nested
        ("333 / 303 / 333", [8], 0),  # a ring
        ("12 / 00 / 03", [1, 1, 1], 2),
        ("000", [], 0),
    ],
)
def test_hand_worked_objects(drawing, areas, touching):
    numbers = np.array([[int(n) for n in row] for row in drawing.split(" / ")], np.uint16)
    sizes = measure_object_sizes(numbers)
    assert (sizes.areas.tolist(), sizes.touching) == (areas, touching)


@given(NUMBERS)
def test_touching_objects_are_those_of_a_plain_loop(numbers):
    sizes = measure_object_sizes(numbers)
    assert sizes.touching == touching_slowly(numbers)
    assert sizes.areas.tolist() == [np.sum(numbers == n) for n in (1, 2, 5) if n in numbers]


def test_statistics_pool_the_objects_of_the_images_that_number_them():
    statistics = summarise_objects([np.arange(1, 101), None, np.array([], np.int64)], [40, 0])
    assert (statistics.images, statistics.objects, statistics.touching) == (2, 100, 40)
    assert statistics.touching_fraction == 0.4
    assert list(statistics.area_percentiles) == [f"{p:g}" for p in PERCENTILES]
    assert statistics.area_percentiles["0"] == 1
    assert statistics.area_percentiles["50"] == 50.5
    assert statistics.area_percentiles["100"] == 100


def test_there_are_no_statistics_without_numbers_and_no_percentiles_without_objects():
    assert summarise_objects([None, None], []) is None
    empty = summarise_objects([np.array([], np.int64)], [0])
    assert empty == ObjectStatistics(images=1, objects=0, touching=0, area_percentiles={})
    assert empty.touching_fraction == 0


AREAS = st.lists(
    st.lists(st.integers(1, 400), max_size=120).map(lambda areas: np.array(areas, np.int64)),
    max_size=4,
)


@given(AREAS, st.sampled_from([0, 0.001, 0.0025, 0.005, 0.01]))
def test_no_candidate_costs_more_than_is_allowed_and_each_cost_is_counted(images, allowed):
    found = SmallestObjects.of((areas, True) for areas in images)
    areas = np.concatenate([np.zeros(0, int), *images])
    if not areas.size:
        assert found is None
        return
    sizes = found.list_sizes(allowed)
    assert sizes[0] == 0
    for size in sizes[1:]:
        cost = found.cost_of(size)
        assert cost.lost == np.sum(areas < size) <= allowed * len(areas) + 1e-9
        assert (cost.objects, cost.area, cost.pieces) == (len(areas), size, False)
    slowly = [
        max(a for a in areas if np.sum(areas < a) <= p * len(areas) / 100) for p in LOST_PERCENTAGES
    ]
    expected = {a // 2 for a in slowly} | ({*slowly} if len(areas) >= 100 else set())
    assert found.list_sizes(0.01) == sorted({0, *(int(a) for a in expected if a > 1)})


def test_candidates_of_many_and_of_few_objects_by_hand():
    many = SmallestObjects.of([(np.array([5] * 3 + [100] * 197), True), (np.arange(0), False)])
    # A piece of 5 pixels is the smallest object; 3 of 200 objects are more than 1 %.
    assert many.smaller == {"2": 0, "5": 0}
    assert many.cost_of(5) == RemovalCost(area=5, lost=0, objects=200, pieces=False)
    graded = SmallestObjects.of([(np.arange(10, 310), True)])
    assert graded.list_sizes(0.01) == [0, 5, 6, 10, 11, 13]
    assert graded.cost_of(13).lost == 3
    assert graded.list_sizes(0.005) == [0, 5, 6, 10, 11]
    assert graded.list_sizes(None) == [0]
    assert graded.cost_of(0) is None
    one = SmallestObjects.of([(np.array([4677]), False)])
    assert (one.list_sizes(0.01), one.pieces) == ([0, 2338], True)
    for tiny in ([1], [1] * 1000, [2, 2, 3]):
        assert SmallestObjects.of([(np.array(tiny), True)]).list_sizes(0.01) == [0]


def test_candidates_survive_json():
    found = SmallestObjects.of([(np.arange(10, 310), True)])
    assert SmallestObjects.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("drawing", "areas"),
    [
        ("1000 / 0111 / 0000", [4]),  # across a corner
        ("1901 / 1901", [2, 2]),  # ignored pixels part pieces and belong to none
        ("1111 / 1001 / 1001 / 1111", [12]),  # a ring
        ("11111 / 10001 / 10101 / 10001 / 11111", [16, 1]),  # nested
        ("1010 / 0000 / 1000", [1, 1, 1]),
        ("00 / 99", []),
    ],
)
def test_pieces_by_hand(drawing, areas):
    label = np.array([[255 if n == "9" else int(n) for n in row] for row in drawing.split(" / ")])
    assert measure_pieces(label.astype(np.uint8)).tolist() == areas
