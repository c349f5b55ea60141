"""Loss, class weights and crops for the foreground of the data."""

import pytest

from tests.training.test_planner import _fingerprint
from unetflow.config.model import ModelParameters
from unetflow.config.parameters import BudgetParameters
from unetflow.config.training import TrainingParameters
from unetflow.pipelines.planning import plan_run
from unetflow.training.planner.recipe import RECIPE, plan_recipe

SIZES = {"epochs": 1, "crop_size": 32, "crops_per_image": 1, "batch_size": 1, "tile": 32}
OPEN = {"loss": None, "class_weights": None, "foreground_fraction": None}
USUAL = {
    "loss": {"bce": 1.0, "dice": 1.0},
    "class_weights": "none",
    "foreground_fraction": 0.0,
}


def _data(foreground, empty):
    frequencies = {"background": 1 - foreground, "defect": foreground}
    changes = {"class_frequencies": frequencies, "empty_fraction": empty}
    return _fingerprint().model_copy(update=changes)


def _plan(foreground, empty, **given):
    settled, reasons = plan_recipe(
        _data(foreground, empty), TrainingParameters(**SIZES | OPEN | given)
    )
    return {name: getattr(settled, name) for name in OPEN}, reasons


def test_data_with_foreground_everywhere_get_the_usual_recipe():
    recipe, reasons = _plan(0.2, 0.1)
    assert recipe == USUAL
    assert "20 % of the training pixels are foreground" in reasons["loss"]


@pytest.mark.parametrize(
    ("foreground", "empty", "fact"),
    [
        (0.1, 0.7, "70 % of the training images hold no foreground"),
        (0.002, 0.0, "0.2 % of the training pixels are foreground"),
        (0.002, 0.7, "hold no foreground, and 0.2 %"),
    ],
)
def test_many_empty_images_and_rare_foreground_change_it(foreground, empty, fact):
    recipe, reasons = _plan(foreground, empty)
    assert recipe["loss"] == {"bce": 1.0, "present_dice": 1.0}
    assert recipe["foreground_fraction"] == 0.5
    assert fact in reasons["loss"]
    assert fact in reasons["foreground_fraction"]


def test_what_is_given_is_kept():
    recipe, reasons = _plan(0.002, 0.7, loss="focal", foreground_fraction=0.0)
    assert recipe == {"loss": {"focal": 1.0}, "class_weights": "none", "foreground_fraction": 0.0}
    assert list(reasons) == ["class_weights"]


def test_a_fingerprint_of_an_earlier_version_gives_the_usual_recipe_and_says_why():
    recipe, reasons = _plan(0.2, None)
    assert recipe == USUAL
    assert "ingest again" in reasons["loss"]


def test_where_only_the_recipe_is_open_no_budget_is_needed():
    model = ModelParameters(base_filters=8, depth=1)
    training = TrainingParameters(**SIZES | OPEN)
    plan = plan_run(_data(0.1, 0.7), BudgetParameters(), model, training)
    assert plan.training.loss == {"bce": 1.0, "present_dice": 1.0}
    assert list(plan.reasons) == [place.rpartition(".")[2] for place in RECIPE]
    settled = TrainingParameters(**SIZES)
    assert plan_run(_data(0.1, 0.7), BudgetParameters(), model, settled).reasons == {}
