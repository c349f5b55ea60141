import keras
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unetflow.inference.runtimes.openvino_precision import round_to_bfloat16, spread_rounding

NUMBERS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=12),
    elements=st.floats(-1000, 1000, width=32),
)


def by_keras(numbers):
    return keras.ops.convert_to_numpy(
        keras.ops.cast(keras.ops.cast(numbers, "bfloat16"), "float32")
    )


@given(NUMBERS)
def test_rounding_is_that_of_keras(numbers):
    np.testing.assert_array_equal(round_to_bfloat16(numbers), by_keras(numbers))


@given(NUMBERS)
def test_numbers_become_those_of_bfloat16_and_their_sums_stay(numbers):
    rounded = spread_rounding(numbers)
    np.testing.assert_array_equal(rounded, by_keras(rounded), strict=True)
    # Half of the last place of eight binary digits, of the number and of the error carried to it,
    # and what float32 itself rounds; no step is smaller than 2^-133.
    largest = np.abs(numbers).max(axis=-1) + np.abs(rounded).max(axis=-1)
    off = np.abs(rounded.sum(axis=-1, dtype=np.float64) - numbers.sum(axis=-1, dtype=np.float64))
    assert (off <= largest * 2.0**-8 + 2.0**-133).all()


def test_without_it_the_errors_of_equal_weights_would_add_up():
    weights = np.full((1, 9), 1.003, np.float32)  # between 1 and the next number, 1.0078125
    assert round_to_bfloat16(weights).sum() == 9
    assert abs(spread_rounding(weights).sum() - 9 * 1.003) < 0.004
