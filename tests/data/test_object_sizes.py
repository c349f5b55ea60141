import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unetflow.data.object_sizes import (
    PERCENTILES,
    ObjectStatistics,
    measure_object_sizes,
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
