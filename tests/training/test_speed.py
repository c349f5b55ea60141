import random

import keras
import numpy as np
import pytest

from unetflow.training.machine import measure_speed, solve_speed
from unetflow.training.planner.network_cost import Speed, Work

NARROW, WIDE = Work(multiply_adds=1e9, values=20e6), Work(multiply_adds=9e9, values=10e6)


def test_it_finds_the_speed_behind_two_times():
    speed = Speed(multiply_adds=50e9, values=80e6)
    found = solve_speed((NARROW, speed.seconds(NARROW)), (WIDE, speed.seconds(WIDE)))
    assert found.multiply_adds == pytest.approx(50e9)
    assert found.values == pytest.approx(80e6)


@pytest.mark.parametrize(("narrow", "wide"), [(1.0, 0.1), (0.01, 1.0)])
def test_times_that_contradict_the_model_still_give_a_speed(narrow, wide):
    found = solve_speed((NARROW, narrow), (WIDE, wide))
    assert found.multiply_adds > 0
    assert found.values > 0
    assert found.seconds(NARROW) + found.seconds(WIDE) == pytest.approx(narrow + wide, rel=1e-3)


def _draw_weights():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).get_weights()[0]


@pytest.mark.slow
def test_measuring_gives_a_believable_speed_and_changes_no_chance():
    keras.utils.set_random_seed(5)
    expected = _draw_weights()
    keras.utils.set_random_seed(5)
    python, numpy = random.getstate(), np.random.get_state()
    speed = measure_speed("float32")
    assert 1e8 < speed.multiply_adds <= 1e15
    assert 1e6 < speed.values <= 1e15
    assert random.getstate() == python
    for found, before in zip(np.random.get_state(), numpy, strict=True):
        np.testing.assert_array_equal(found, before)
    np.testing.assert_array_equal(_draw_weights(), expected)
