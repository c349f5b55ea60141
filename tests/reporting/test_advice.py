import numpy as np
import pytest

from unetflow.reporting.advice import count_steps, name_length, read_curve


@pytest.mark.parametrize(
    ("dice", "jump"),
    [
        ((0.1, 0.84, 0.0, 0.7), (0.84, 0.0)),
        ((0.5, 0.6, 0.84, 0.84, 0.0, 0.8), (0.84, 0.0)),
        ((0.2, 0.0, 0.6, 0.7, 0.75, 0.76), None),  # it has settled since
        ((0.5, 0.7, 0.8, 0.75, 0.79, 0.8), None),
        ((0.9, 0.1, 0.9), None),  # too few epochs to say
        ((0.8, 0.9, np.nan, 0.9), (0.9, 0.0)),
        ((0.0, 0.0, 0.0, 0.0), None),
    ],
)
def test_a_fall_in_the_second_half_is_a_validation_that_has_not_settled(dice, jump):
    assert read_curve(np.array(dice)).jump == jump


@pytest.mark.parametrize(
    ("dice", "is_rising"),
    [
        ((0.5, 0.8), True),
        ((0.5,), False),
        ((0.5, 0.6, 0.7, 0.8), True),
        ((0.5, 0.7, 0.795, 0.8), False),
        ((0.5, 0.9, 0.8, 0.7), False),
        ((np.nan,) * 4, False),
    ],
)
def test_a_curve_rises_where_its_last_quarter_is_clearly_the_best(dice, is_rising):
    assert read_curve(np.array(dice)).is_rising is is_rising


def test_steps_are_those_of_all_epochs():
    planned = {"crops_per_image": 3, "batch_size": 4}
    assert count_steps(planned, 10, 5) == 5 * 8
    assert count_steps(planned | {"steps_per_epoch": 6}, 10, 5) == 5 * 6
    assert count_steps(planned | {"steps_per_epoch": None}, 10, 5) == 5 * 8
    assert count_steps({}, 10, 5) is None


def test_a_budget_without_minutes_is_named_alone():
    assert name_length({}, {"training": {"epochs": None}}, 3) == "budget.minutes"
