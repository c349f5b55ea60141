"""Properties of all losses."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.losses import gradient_of, losses_of, random_prediction, random_truth
from unetflow.config.loss import LOSS_NAMES
from unetflow.models.loss_terms import LOSSES
from unetflow.models.segmentation_loss import SegmentationLoss

WEIGHTED = ("bce", "cce", "focal")
every_loss = pytest.mark.parametrize("name", LOSS_NAMES)
every_head = pytest.mark.parametrize("channels", [1, 2, 3])


def _batch(seed, batch, channels):
    size = (6, 7)
    return random_truth(seed, batch, channels, size), random_prediction(seed, batch, channels, size)


def test_the_configuration_knows_all_of_them():
    assert tuple(LOSSES) == LOSS_NAMES


@every_loss
@every_head
def test_ignored_pixels_change_neither_value_nor_gradient(name, channels):
    truth, chance = _batch(1, 3, channels)
    ignored = np.broadcast_to(truth == 255, chance.shape)
    value, gradient = losses_of(name, truth, chance), gradient_of(name, truth, chance)
    assert np.all(gradient[ignored] == 0)
    for replacement in (1 - chance, 0.0, 1.0, np.nan):
        other = np.where(ignored, replacement, chance).astype(np.float32)
        np.testing.assert_array_equal(losses_of(name, truth, other), value)
        np.testing.assert_array_equal(gradient_of(name, truth, other), gradient)


@every_loss
@every_head
def test_the_gradient_points_towards_the_truth(name, channels):
    truth, chance = _batch(2, 2, channels)
    gradient = gradient_of(name, truth, chance)
    is_class = truth == (1 if channels == 1 else np.arange(channels))
    target = np.where(truth == 255, chance, is_class)
    assert np.sum(gradient * (target - chance)) < 0


@every_loss
@every_head
@pytest.mark.parametrize("certain", [False, True])
def test_value_and_gradient_are_finite_in_the_most_extreme_cases(name, channels, certain):
    truth, chance = _batch(3, 6, channels)
    truth[0], truth[1], truth[2] = 0, 1, 255
    if certain:
        chance = (chance > np.median(chance)).astype(np.float32)
        chance[3], chance[4] = 0, 1
    assert np.all(np.isfinite(losses_of(name, truth, chance)))
    assert np.all(np.isfinite(gradient_of(name, truth, chance)))


@every_loss
@every_head
def test_an_image_without_counted_pixels_has_a_loss_of_zero(name, channels):
    truth, chance = _batch(4, 1, channels)
    truth[:] = 255
    assert losses_of(name, truth, chance)[0] == 0
    assert np.all(gradient_of(name, truth, chance) == 0)


@every_loss
@every_head
def test_the_loss_of_a_batch_is_the_mean_over_its_images(name, channels):
    truth, chance = _batch(5, 4, channels)
    loss = SegmentationLoss(name)
    single = [float(loss(truth[i : i + 1], chance[i : i + 1])) for i in range(4)]
    assert np.std(single) > 1e-3
    assert float(loss(truth, chance)) == pytest.approx(np.mean(single), rel=1e-5)


@every_loss
@every_head
def test_the_loss_decreases_to_zero_as_the_prediction_improves(name, channels):
    truth, _ = _batch(6, 2, channels)
    target = (truth == (1 if channels == 1 else np.arange(channels))).astype(np.float32)
    wrong = 1 - target if channels < 3 else np.roll(target, 1, axis=-1)
    values = [
        losses_of(name, truth, np.float32(share) * target + np.float32(1 - share) * wrong).mean()
        for share in (0.0, 0.5, 0.75, 0.9, 1.0)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.5
    assert values[-1] == pytest.approx(0, abs=1e-5)


@every_loss
@every_head
def test_weights_change_only_the_cross_entropies(name, channels):
    truth, chance = _batch(7, 2, channels)
    twos = np.full(truth.shape, 2, np.float32)
    plain = losses_of(name, truth, chance)
    factor = 2 if name in WEIGHTED else 1
    by_pixel = losses_of(name, np.concatenate([truth.astype("f4"), twos], axis=-1), chance)
    by_class = losses_of(name, truth, chance, [2.0] * max(channels, 2))
    np.testing.assert_allclose(by_pixel, factor * plain, rtol=1e-6)
    np.testing.assert_allclose(by_class, factor * plain, rtol=1e-6)


@every_loss
@every_head
def test_it_runs_in_a_graph_of_unknown_batch_and_image_size(name, channels):
    truth, chance = _batch(8, 2, channels)
    compiled = tf.function(
        SegmentationLoss(name).call,
        input_signature=[
            tf.TensorSpec((None, None, None, 1), tf.uint8),
            tf.TensorSpec((None, None, None, channels), tf.float32),
        ],
    )
    np.testing.assert_allclose(compiled(truth, chance), losses_of(name, truth, chance), rtol=1e-5)
