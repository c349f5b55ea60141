import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.imaging.helpers import CLASSES
from unetflow.imaging.errors import InputError
from unetflow.imaging.labels import IGNORE, LabelClass, decode_mask

REST = [LabelClass("background", (0,)), LabelClass("cell", None)]


def test_ignored_label_is_255():
    assert IGNORE == 255


def test_mask_values_become_the_indices_of_their_classes():
    classes = [LabelClass("a", (7, 9)), LabelClass("b", (300,)), LabelClass("c", (-1,))]
    label = decode_mask(np.array([[7, 300], [-1, 9]], np.int32), classes, "m")
    assert label.dtype == np.uint8
    assert label.tolist() == [[0, 1], [2, 0]]


def test_class_without_values_takes_the_rest():
    label = decode_mask(np.array([[0, 1], [2, 65535]], np.uint16), REST, "m")
    assert label.tolist() == [[0, 1], [1, 1]]


def test_rest_may_stand_before_the_declared_classes():
    classes = [LabelClass("rest", None), LabelClass("nucleus", (5,))]
    assert decode_mask(np.array([[5, 6]], np.uint8), classes, "m").tolist() == [[1, 0]]


@given(
    mask=hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)),
    values=st.lists(st.integers(-300, 300), min_size=2, max_size=8, unique=True),
)
def test_decoding_equals_a_lookup_of_each_pixel(mask, values):
    classes = [
        LabelClass("first", tuple(values[::2])),
        LabelClass("second", tuple(values[1::2])),
        LabelClass("rest", None),
    ]
    label = decode_mask(mask, classes, "m")
    expected = [
        [0 if v in values[::2] else 1 if v in values[1::2] else 2 for v in row]
        for row in mask.tolist()
    ]
    assert label.tolist() == expected
    assert set(np.unique(label)) <= {0, 1, 2}


def test_undeclared_value_lists_the_shares_and_suggests_the_absent_class():
    classes = [LabelClass("background", (0,)), LabelClass("nucleus", (1,))]
    mask = np.array([[0, 0, 0, 255]], np.uint8)
    with pytest.raises(InputError) as caught:
        decode_mask(mask, classes, "masks/1.png")
    assert caught.value.where == "masks/1.png"
    assert "share of pixels by value: 0: 75.0%, 255: 25.0%" in caught.value.problem
    assert "Did you mean 255 -> nucleus?" in caught.value.mend


@pytest.mark.parametrize("values", [[0, 1, 2], [0, 255, 3], [1, 2]])
def test_nothing_is_guessed_when_more_than_one_answer_is_possible(values):
    with pytest.raises(InputError, match="Write the missing values into `classes`") as caught:
        decode_mask(np.array([values]), CLASSES, "m")
    assert "Did you mean" not in str(caught.value)


def test_histogram_shows_the_eight_commonest_values_and_counts_the_others():
    counts = {value: 20 - value for value in range(1, 12)}
    mask = np.repeat(list(counts), list(counts.values()))[np.newaxis]
    with pytest.raises(InputError) as caught:
        decode_mask(mask, [LabelClass("background", (0,))], "m")
    assert "1: 12.3%, 2: 11.7%" in caught.value.problem
    assert " 8: 7.8% and 3 more" in caught.value.problem
    assert "9:" not in caught.value.problem
