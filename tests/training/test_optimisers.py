from itertools import pairwise
from typing import get_args

import keras
import numpy as np
import pytest

from tests.support.networks import fit_settings
from unetflow.config.training import TrainingParameters
from unetflow.training.optimisers import PlateauRate, WarmUpRate, build_optimiser

OPTIMISERS, SCHEDULES = (
    get_args(TrainingParameters.model_fields[name].annotation) for name in ("optimiser", "schedule")
)
PLAIN = fit_settings(optimiser="sgd", momentum=0.0, nesterov=False, learning_rate=0.1)


def build(steps=10, **changes):
    return build_optimiser(PLAIN.model_copy(update=changes), steps)


def rates(steps, **changes):
    optimiser = build(steps, **changes)
    found = []
    for step in range(steps + 1):
        optimiser.iterations.assign(step)
        found.append(float(optimiser.learning_rate))
    return found


def walk(gradients, **changes):
    """Return a weight of 1 after each of some steps."""
    optimiser, weight = build(len(gradients), **changes), keras.Variable([1.0])
    optimiser.build([weight])
    places = []
    for gradient in gradients:
        optimiser.apply([keras.ops.convert_to_tensor([gradient])])
        places.append(float(weight[0]))
    return places, optimiser


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adam", keras.optimizers.Adam),
        ("adamw", keras.optimizers.AdamW),
        ("sgd", keras.optimizers.SGD),
    ],
)
def test_each_name_gives_its_optimiser(name, kind):
    optimiser = build(optimiser=name, learning_rate=0.02)
    assert type(optimiser) is kind
    assert float(optimiser.learning_rate) == pytest.approx(0.02)


def test_all_names_can_be_built():
    built = [build(optimiser=o, schedule=s) for o in OPTIMISERS for s in SCHEDULES]
    assert len({type(optimiser) for optimiser in built}) == 3


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match="adagrad"):
        build(optimiser="adagrad")
    with pytest.raises(KeyError, match="steps"):
        build(schedule="steps")


def test_sgd_takes_its_momentum_and_adamw_its_decay():
    plain, _ = walk([1.0, 1.0])
    assert plain == pytest.approx([0.9, 0.8])
    heavy, _ = walk([1.0, 1.0], momentum=0.5)
    assert heavy == pytest.approx([0.9, 0.75])
    nesterov, _ = walk([1.0, 1.0], momentum=0.5, nesterov=True)
    assert nesterov == pytest.approx([0.85, 0.675])
    decayed, _ = walk([0.0], optimiser="adamw", weight_decay=0.5)
    assert decayed == pytest.approx([1 - 0.1 * 0.5])


def test_gradients_are_clipped_to_their_norm():
    assert walk([300.0], global_clipnorm=2.0)[0] == pytest.approx([0.8])
    assert walk([1.0], global_clipnorm=2.0)[0] == pytest.approx([0.9])


def test_the_moving_average_follows_the_weights():
    places, optimiser = walk([1.0, -2.0, 0.5], ema_momentum=0.75)
    average = 1.0
    for number, place in enumerate(places):
        # Keras starts the average at the weights of the first step.
        average = place if number == 0 else 0.75 * average + 0.25 * place
    found = float(optimiser._model_variables_moving_average[0][0])
    assert found == pytest.approx(average)


def test_a_constant_rate_stays():
    assert rates(10) == pytest.approx([0.1] * 11)


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        ("constant", lambda p: 1.0),
        ("cosine", lambda p: (1 + np.cos(np.pi * p)) / 2),
        ("poly", lambda p: (1 - p) ** 0.9),
    ],
)
@pytest.mark.parametrize("rising", [0, 5])
def test_rates_follow_their_formula_after_a_rise_from_zero(schedule, formula, rising):
    steps = 20
    found = rates(steps, schedule=schedule, warmup_fraction=rising / steps)
    assert found[:rising] == pytest.approx([0.1 * step / rising for step in range(rising)])
    rest = [0.1 * formula((step - rising) / (steps - rising)) for step in range(rising, steps + 1)]
    assert found[rising:] == pytest.approx(rest, abs=1e-7)


@pytest.mark.parametrize("schedule", ["cosine", "poly"])
def test_falling_rates_fall_to_zero_and_stay_there(schedule):
    found = rates(20, schedule=schedule)
    assert all(later < earlier for earlier, later in pairwise(found))
    assert found[-1] == pytest.approx(0, abs=1e-8)
    assert float(WarmUpRate(0.1, schedule, 3, 7)(99)) == pytest.approx(0, abs=1e-8)


def test_a_rise_over_all_steps_goes_to_the_end():
    assert rates(4, schedule="cosine", warmup_fraction=1.0)[:4] == pytest.approx(
        [0, 0.025, 0.05, 0.075]
    )


def test_a_rise_shorter_than_half_a_step_is_none():
    assert rates(4, schedule="cosine", warmup_fraction=0.1)[0] == pytest.approx(0.1)


def test_a_schedule_can_be_stored():
    schedule = WarmUpRate(0.1, "poly", 3, 7)
    packed = keras.saving.serialize_keras_object(schedule)
    again = keras.saving.deserialize_keras_object(packed, safe_mode=True)
    assert [float(again(step)) for step in range(12)] == [float(schedule(s)) for s in range(12)]


class TestPlateau:
    def follow(self, dices, rising=0, patience=2, losses=None):
        """Return the rate in which each epoch of three steps ends."""
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(build(schedule="plateau"), "mse")
        changes = {"patience": 3 * patience, "warmup_fraction": rising / 9}
        callback = PlateauRate(PLAIN.model_copy(update=changes), total_steps=9)
        callback.set_model(model)
        callback.on_train_begin()
        found = []
        for epoch, dice in enumerate(dices):
            for batch in range(3):
                callback.on_train_batch_begin(batch)
                model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
            found.append(float(model.optimizer.learning_rate))
            callback.on_epoch_end(
                epoch, {"val_dice": dice, "val_loss": losses[epoch] if losses else 1.0}
            )
        return found

    def test_halves_the_rate_when_the_dice_no_longer_rises(self):
        dices = [0.1, 0.2, 0.2, 0.1, 0.2, 0.3, 0.3, 0.3]
        assert self.follow(dices) == pytest.approx([0.1] * 4 + [0.05] * 4)

    def test_does_not_halve_it_while_nothing_is_found_and_the_loss_falls(self):
        found = self.follow([0.0] * 6, losses=[6, 5, 4, 4, 4, 4])
        assert found == pytest.approx([0.1] * 5 + [0.05])

    def test_rises_first(self):
        assert self.follow([0.1, 0.2, 0.3], rising=5) == pytest.approx([0.04, 0.1, 0.1])
