import pytest

from tests.training.test_planner import _fingerprint
from unetflow.config.model import ModelParameters
from unetflow.config.parameters import BudgetParameters
from unetflow.config.training import TrainingParameters
from unetflow.pipelines.planning import plan_run
from unetflow.training.planner.network_cost import Speed

OPEN = dict.fromkeys(("epochs", "crop_size", "crops_per_image", "batch_size", "tile"))
TRAINING = TrainingParameters(**OPEN)
MODEL = ModelParameters(base_filters=None, depth=None)
BUDGET = BudgetParameters(memory_gb=4, minutes=10)


@pytest.fixture
def machine(monkeypatch):
    """Return a setter of the machine's speed, in 10^9 multiply-adds per second."""

    def set_speed(speed):
        measured = Speed(speed * 1e9, speed * 1e8)
        monkeypatch.setattr("unetflow.training.machine.measure_speed", lambda precision: measured)

    return set_speed


def test_the_same_run_keeps_its_plan_though_the_machine_seems_faster(machine):
    machine(50)
    first = plan_run(_fingerprint(), BUDGET, MODEL, TRAINING, None)
    machine(90)
    again = plan_run(_fingerprint(), BUDGET, MODEL, TRAINING, first.model_dump(mode="json"))
    assert again == first
    assert plan_run(_fingerprint(), BUDGET, MODEL, TRAINING, None) != first


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": _fingerprint(training=21)},
        {"budget": BudgetParameters(memory_gb=4, minutes=20)},
        {"model": ModelParameters(base_filters=None, depth=2)},
        {"training": TrainingParameters(**OPEN, learning_rate=0.01)},
    ],
)
def test_another_run_gets_a_plan_of_its_own(machine, changes):
    machine(50)
    given = {
        "fingerprint": _fingerprint(),
        "budget": BUDGET,
        "model": MODEL,
        "training": TRAINING,
    }
    stored = plan_run(**given).model_dump(mode="json")
    machine(90)
    changed = plan_run(**given | changes, plan_before=stored)
    assert changed == plan_run(**given | changes)
    assert changed != plan_run(**given, plan_before=stored)


@pytest.mark.parametrize("stored", [{}, {"model": 3}, {"of": "another version"}])
def test_a_plan_that_cannot_be_read_is_made_again(machine, stored):
    machine(50)
    made = plan_run(_fingerprint(), BUDGET, MODEL, TRAINING, stored)
    assert made == plan_run(_fingerprint(), BUDGET, MODEL, TRAINING)


def test_a_plan_that_needs_more_memory_than_is_granted_is_made_again(machine):
    machine(50)
    large = plan_run(_fingerprint(), BUDGET, MODEL, TRAINING)
    budget = BudgetParameters(memory_gb=large.memory_gb - 0.01, minutes=10)
    smaller = plan_run(_fingerprint(), budget, MODEL, TRAINING, large.model_dump(mode="json"))
    assert smaller.memory_gb <= budget.memory_gb
