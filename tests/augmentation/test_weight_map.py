import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from unetflow.augmentation.weight_map import objects_of, weight_map
from unetflow.core.errors import InputError
from unetflow.core.hashing import generator_for
from unetflow.core.types import IGNORE
from unetflow.data.synthetic import draw_nuclei

SHAPES = st.tuples(st.integers(1, 18), st.integers(1, 18))
FAR = 2**31 + 7


def plain_weight_map(label, instances, class_weights, border_weight, border_width):
    """Work equation 2 out pixel by pixel, each object's pixels one by one."""
    places = {n: np.argwhere(instances == n) for n in np.unique(instances) if n}
    weights = np.zeros(label.shape)
    for place in np.ndindex(label.shape):
        if label[place] == IGNORE:
            continue
        weights[place] = class_weights[label[place]]
        if instances[place] or len(places) < 2:
            continue
        first, second, *_ = sorted(
            np.sqrt(((pixels - place) ** 2).sum(axis=1)).min() for pixels in places.values()
        )
        weights[place] += border_weight * np.exp(-((first + second) ** 2) / (2 * border_width**2))
    return weights


def plain_pieces(inside):
    """Fill one connected piece after another over the edges of its pixels."""
    numbers, count = np.zeros(inside.shape, int), 0
    for start in np.argwhere(inside):
        if numbers[tuple(start)]:
            continue
        count += 1
        waiting = [tuple(start)]
        while waiting:
            row, column = waiting.pop()
            within = 0 <= row < inside.shape[0] and 0 <= column < inside.shape[1]
            if within and inside[row, column] and not numbers[row, column]:
                numbers[row, column] = count
                waiting += [(row + 1, column), (row - 1, column)]
                waiting += [(row, column + 1), (row, column - 1)]
    return numbers


@st.composite
def labels_with_instances(draw):
    shape = draw(SHAPES)
    values = draw(st.lists(st.sampled_from([1, 2, 3, 9, 65535, 65536, FAR]), max_size=5))
    numbers = draw(npst.arrays(np.uint32, shape, elements=st.sampled_from([0, 0, 0, *values])))
    if draw(st.booleans()):  # pieces of more than one pixel, which touch
        numbers = np.kron(numbers, np.ones((3, 2), np.uint32))
    label = np.where(numbers > 0, numbers % 2 + 1, 0).astype(np.uint8)
    ignored = npst.arrays(bool, label.shape, elements=st.sampled_from([False] * 5 + [True]))
    label[draw(ignored)] = IGNORE
    return label, numbers


@settings(max_examples=150, deadline=None)
@given(
    labels_with_instances(),
    st.floats(0, 20),
    st.floats(0.2, 8),
    st.sampled_from([(1, 1, 1), (0, 0.5, 3)]),
)
def test_weight_map_is_what_the_formula_says(drawn, border_weight, border_width, class_weights):
    label, instances = drawn
    found = weight_map(
        label,
        instances,
        class_weights=class_weights,
        border_weight=border_weight,
        border_width=border_width,
    )
    expected = plain_weight_map(label, instances, class_weights, border_weight, border_width)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_objects_farther_away_than_the_window_change_nothing():
    instances = draw_nuclei(72, generator_for("weights", 1)).instances
    label = (instances > 0).astype(np.uint8)
    assert len(np.unique(instances)) > 4
    for border_width in (0.5, 1.5, 5.0):
        found = weight_map(label, instances, class_weights=(1, 2), border_width=border_width)
        expected = plain_weight_map(label, instances, (1, 2), 10.0, border_width)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_gap_between_two_objects_by_hand():
    instances = np.array([[1, 0, 0, 0, 2]], np.uint16)
    label = np.array([[1, 0, 0, IGNORE, 1]], np.uint8)
    found = weight_map(label, instances, class_weights=(0.5, 2), border_weight=10, border_width=4)
    gap = 0.5 + 10 * np.exp(-0.5)  # the distances are 1 + 3 and 2 + 2, so four pixels everywhere
    np.testing.assert_allclose(found, [[2, gap, gap, 0, 2]], rtol=1e-6)


@pytest.mark.parametrize("instances", [[[0, 0, 0]], [[0, 7, 7]]], ids=["none", "one"])
def test_fewer_than_two_objects_have_no_border(instances):
    label = np.array([[0, 1, IGNORE]], np.uint8)
    found = weight_map(label, np.array(instances, np.uint16), class_weights=(1, 3))
    np.testing.assert_array_equal(found, np.array([[1, 3, 0]], np.float32), strict=True)


def test_image_that_is_ignored_altogether_weighs_nothing():
    label = np.full((3, 4), IGNORE, np.uint8)
    assert not weight_map(label, None, class_weights=(1, 1)).any()


@settings(max_examples=60, deadline=None)
@given(npst.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 0, 1, 2, IGNORE])))
@example(np.array([[1, 1, 2, 0, 1]], np.uint8))
def test_without_numbers_the_objects_are_the_pieces_of_each_class_but_the_first(label):
    pieces = plain_pieces(label == 1)
    others = plain_pieces(label == 2)
    instances = pieces + np.where(others, others + pieces.max(), 0)
    found = weight_map(label, None, class_weights=(1, 2, 3))
    expected = plain_weight_map(label, instances, (1, 2, 3), 10.0, 5.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(npst.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, IGNORE])), st.integers(0, 1))
def test_objects_of_a_class_are_its_pieces(label, index):
    found = objects_of(label, index)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, plain_pieces(label == index))


def test_diagonal_membrane_keeps_two_cells_apart_and_is_the_border():
    label = np.eye(12, dtype=np.uint8)
    cells = objects_of(label, 0)
    assert len(np.unique(cells)) == 3
    found = weight_map(label, cells, class_weights=(1, 2))
    inner = found[range(1, 11), range(1, 11)]
    np.testing.assert_allclose(inner, 2 + 10 * np.exp(-4 / 50), rtol=1e-6)
    assert (found[label == 0] == 1).all()


def test_more_objects_than_sixteen_bits_number():
    label = np.zeros((364, 364), np.uint8)
    label[np.indices(label.shape).sum(axis=0) % 2 == 1] = 1
    found = objects_of(label, 1)
    assert found.dtype == np.uint32
    assert found.max() == 364 * 364 // 2
    np.testing.assert_array_equal(np.unique(found[label == 1], return_counts=True)[1], 1)


def test_label_and_instances_that_go_in_are_not_modified():
    instances = draw_nuclei(64, generator_for("weights", 2)).instances
    label = (instances > 0).astype(np.uint8)
    label.flags.writeable = instances.flags.writeable = False
    weight_map(label, instances, class_weights=(1, 1))
    weight_map(label, None, class_weights=(1, 1))


def test_class_without_a_weight_is_refused():
    label = np.array([[0, 2, IGNORE]], np.uint8)
    with pytest.raises(InputError, match=r"holds class 2, but there are 2 weights"):
        weight_map(label, None, class_weights=(1, 1))
