"""The sizes that the planner works out, by hand."""

import pytest

from tests.support.networks import fit_settings
from unetflow.training.planner.network_cost import (
    Architecture,
    Convolution,
    Speed,
    Work,
    count_parameters,
    forward_work,
    list_convolutions,
    predict_memory,
    prediction_work,
    step_work,
)

SMALL = Architecture(channels=3, base_filters=2, depth=1)


def test_the_layers_of_a_small_network():
    assert list_convolutions(SMALL, 8, 12) == [
        Convolution("block", 3, 2, 8, 12),
        Convolution("block", 2, 2, 8, 12),
        Convolution("block", 2, 4, 4, 6),
        Convolution("block", 4, 4, 4, 6),
        Convolution("up", 4, 2, 8, 12),
        Convolution("block", 4, 2, 8, 12),
        Convolution("block", 2, 2, 8, 12),
        Convolution("head", 2, 1, 8, 12),
    ]


def test_valid_convolutions_give_the_sizes_of_the_paper():
    network = Architecture(channels=1, base_filters=64, depth=4, classes=2, padding="valid")
    edges = [c.width for c in list_convolutions(network, 572, 572)]
    down, bottom = [570, 568, 282, 280, 138, 136, 66, 64], [30, 28]
    up = [56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388]
    assert edges == [*down, *bottom, *up, 388]


def test_the_weights_and_the_multiply_adds_of_a_small_network():
    kernels = 9 * (3 * 2 + 2 * 2 + 2 * 4 + 4 * 4 + 4 * 2 + 2 * 2) + 4 * 4 * 2 + 2
    biases = 2 + 2 + 4 + 4 + 2 + 2 + 2 + 1
    normalisation = 4 * (2 + 2 + 4 + 4 + 2 + 2)
    assert count_parameters(SMALL) == kernels + biases + normalisation
    work = forward_work(SMALL, 8, 8)
    top = 64 * (9 * (3 * 2 + 2 * 2 + 4 * 2 + 2 * 2) + 4 * 2 + 2)
    assert work.multiply_adds == top + 16 * 9 * (2 * 4 + 4 * 4)
    assert work.values == 64 * (2 + 2 + 2 + 2 + 2 + 1) + 16 * (4 + 4)


def test_a_step_is_three_forward_passes_of_each_crop():
    once = forward_work(SMALL, 8, 8)
    step = step_work(SMALL, crop=8, batch=5)
    assert step.multiply_adds == 15 * once.multiply_adds
    assert step.values == 15 * once.values + count_parameters(SMALL)


def test_an_image_in_windows_costs_its_windows():
    whole = prediction_work(SMALL, 100, 40, tile=512)
    assert whole == forward_work(SMALL, 100, 40)
    # The margin is 10 at depth 1, so that windows of 40 keep 20 pixels of their own: 4 of them.
    assert prediction_work(SMALL, 100, 40, tile=40) == forward_work(SMALL, 40, 40).times(4)


def test_the_seconds_of_both_kinds_of_work_add_up():
    assert Speed(multiply_adds=100, values=10).seconds(Work(200, 30)) == pytest.approx(5)


def _memory(architecture=SMALL, image=(32, 32), tile=512, **changes):
    crop, batch = changes.pop("crop_size", 64), changes.pop("batch_size", 4)
    training = fit_settings(**changes)
    return predict_memory(
        architecture, crop=crop, batch=batch, image=image, tile=tile, training=training
    )


def test_an_optimisers_second_slot_and_an_average_cost_one_copy_of_the_weights_each():
    copy = 4 * count_parameters(SMALL)
    assert _memory() - _memory(optimiser="sgd") == copy
    assert _memory(ema_momentum=0.9) - _memory() == copy
    assert _memory(optimiser="adamw") == _memory()


def test_a_step_that_needs_more_than_validation_grows_with_the_batch():
    one, two, three = (_memory(crop_size=256, batch_size=size) for size in (1, 2, 3))
    assert three - two == two - one > 0


def test_validation_counts_where_it_needs_more_than_a_step():
    small = _memory(crop_size=8, batch_size=1, image=(1024, 1024))
    smaller_tile = _memory(crop_size=8, batch_size=1, image=(1024, 1024), tile=256)
    assert _memory(crop_size=8, batch_size=1) < smaller_tile < small
    assert small == _memory(crop_size=16, batch_size=1, image=(1024, 1024))


@pytest.mark.parametrize("normalisation", ["batch", "group", "instance"])
def test_normalisation_keeps_more(normalisation):
    plain = Architecture(3, 8, 2, normalisation="none")
    normalised = Architecture(3, 8, 2, normalisation=normalisation)
    assert _memory(normalised) > _memory(plain)


def test_a_loss_that_keeps_maps_costs_them_for_each_output():
    wide = Architecture(3, 8, 2, classes=11)
    plain, thin = (_memory(wide, loss=f"cce{more}") for more in ("", " + cldice"))
    supervised = Architecture(3, 8, 2, classes=11, deep_supervision=1)
    twice = _memory(supervised, loss="cce + cldice")
    assert thin > plain
    assert twice - thin > thin - plain
