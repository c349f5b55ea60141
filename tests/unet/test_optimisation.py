from itertools import pairwise
from typing import get_args

import keras
import pytest

from unetflow.pipelines.parameters import TrainingParameters
from unetflow.unet.optimisation import build_optimiser

OPTIMISERS, SCHEDULES = (
    get_args(TrainingParameters.model_fields[name].annotation) for name in ("optimiser", "schedule")
)


def _rates(schedule, steps, **options):
    optimiser = build_optimiser("sgd", 0.1, schedule, total_steps=steps, **options)
    rates = []
    for step in range(steps + 1):
        optimiser.iterations.assign(step)
        rates.append(float(optimiser.learning_rate))
    return rates


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adam", keras.optimizers.Adam),
        ("adamw", keras.optimizers.AdamW),
        ("sgd", keras.optimizers.SGD),
    ],
)
def test_each_name_gives_its_optimiser(name, kind):
    optimiser = build_optimiser(name, 0.02, "constant", total_steps=10)
    assert type(optimiser) is kind
    assert float(optimiser.learning_rate) == pytest.approx(0.02)


def test_all_names_can_be_built():
    built = [build_optimiser(n, 0.1, s, total_steps=5) for n in OPTIMISERS for s in SCHEDULES]
    assert len({type(optimiser) for optimiser in built}) == 3


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match="adagrad"):
        build_optimiser("adagrad", 0.1, "constant", total_steps=5)


def test_sgd_has_strong_nesterov_momentum_and_adamw_decays_weights():
    sgd = build_optimiser("sgd", 0.1, "constant", total_steps=5)
    assert (sgd.momentum, sgd.nesterov) == (0.99, True)
    assert build_optimiser("adamw", 0.1, "constant", total_steps=5).weight_decay == 0.004


def test_a_constant_rate_stays():
    assert _rates("constant", 10) == pytest.approx([0.1] * 11)


def test_a_cosine_falls_from_the_highest_rate_to_zero():
    rates = _rates("cosine", 20)
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(0.05)
    assert rates[20] == pytest.approx(0, abs=1e-8)
    assert all(later < earlier for earlier, later in pairwise(rates))


def test_a_warm_up_rises_from_zero_then_the_cosine_falls_to_zero():
    rates = _rates("cosine", 20, warmup_share=0.25)
    assert rates[:6] == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1], abs=1e-7)
    assert rates[20] == pytest.approx(0, abs=1e-8)
    assert all(later < earlier for earlier, later in pairwise(rates[5:]))


def test_a_warm_up_over_all_steps_rises_to_the_end():
    assert _rates("cosine", 4, warmup_share=1.0)[:4] == pytest.approx([0, 0.025, 0.05, 0.075])


def test_a_warm_up_shorter_than_half_a_step_is_none():
    assert _rates("cosine", 4, warmup_share=0.1)[0] == pytest.approx(0.1)
