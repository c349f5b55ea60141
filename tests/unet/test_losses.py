import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unet.helpers import dice_slowly, loss_slowly
from unetflow.unet.losses import CrossEntropyDice, dice


def _random_batch(seed, batch=3, height=4, width=5):
    random = np.random.default_rng(seed)
    label = random.choice([0, 1, 255], (batch, height, width, 1), p=[0.5, 0.3, 0.2])
    return label.astype(np.uint8), random.random(label.shape).astype(np.float32)


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 3),
    height=st.integers(1, 5),
    weights=st.tuples(st.floats(0, 3), st.floats(0, 3)),
)
def test_the_loss_equals_a_walk_over_the_pixels(seed, batch, height, weights):
    label, probability = _random_batch(seed, batch, height)
    found = CrossEntropyDice(*weights).call(label, tf.constant(probability))
    expected = [loss_slowly(t, p, *weights) for t, p in zip(label, probability, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 5))
def test_the_metric_equals_a_walk_over_the_pixels(seed, height):
    label, probability = _random_batch(seed, 3, height, 2)
    expected = [dice_slowly(t, p) for t, p in zip(label, probability, strict=True)]
    np.testing.assert_allclose(dice(label, tf.constant(probability)), expected, rtol=1e-6)


def test_a_hand_worked_loss():
    label = np.array([[1, 0], [255, 1]], np.uint8).reshape(1, 2, 2, 1)
    probability = np.array([[0.5, 0.5], [0.9, 1.0]], np.float32).reshape(1, 2, 2, 1)
    # Cross-entropy: (ln 2 + ln 2 + 0) / 3. Dice: (2 (0.5 + 1) + 1) / (2 + 2 + 1) = 0.8.
    assert float(CrossEntropyDice()(label, probability)) == pytest.approx(
        2 * np.log(2) / 3 + 0.2, abs=1e-5
    )


def test_ignored_pixels_change_neither_loss_nor_metric():
    label, probability = _random_batch(1)
    ignored = label == 255
    assert ignored.any()
    other = np.where(ignored, 1 - probability, probability)
    loss = CrossEntropyDice()
    np.testing.assert_array_equal(loss.call(label, probability), loss.call(label, other))
    np.testing.assert_array_equal(dice(label, probability), dice(label, other))


def test_ignored_pixels_have_no_gradient():
    label, probability = _random_batch(2)
    variable = tf.Variable(probability)
    with tf.GradientTape() as tape:
        value = CrossEntropyDice()(label, variable)
    gradient = tape.gradient(value, variable).numpy()
    assert np.all(gradient[label == 255] == 0)
    assert np.all(gradient[label != 255] != 0)


def test_an_image_of_ignored_pixels_alone_costs_nothing():
    label = np.full((1, 3, 3, 1), 255, np.uint8)
    probability = np.full(label.shape, 0.7, np.float32)
    assert float(CrossEntropyDice()(label, probability)) == pytest.approx(0, abs=1e-6)
    assert float(dice(label, probability)[0]) == 1


def test_the_loss_of_a_batch_is_the_mean_over_its_images():
    label, probability = _random_batch(3, batch=5)
    loss = CrossEntropyDice()
    single = [float(loss(label[i : i + 1], probability[i : i + 1])) for i in range(5)]
    assert np.std(single) > 0.01
    assert float(loss(label, probability)) == pytest.approx(np.mean(single), rel=1e-5)


def test_an_empty_image_with_an_empty_prediction_is_perfect():
    label = np.zeros((1, 8, 8, 1), np.uint8)
    probability = np.zeros(label.shape, np.float32)
    only_dice = CrossEntropyDice(cross_entropy_weight=0.0)
    assert float(only_dice(label, probability)) == pytest.approx(0, abs=1e-6)
    assert float(CrossEntropyDice()(label, probability)) == pytest.approx(0, abs=1e-5)


def test_a_wrong_prediction_on_an_empty_image_costs_nearly_one():
    label = np.zeros((1, 8, 8, 1), np.uint8)
    probability = np.ones(label.shape, np.float32)
    only_dice = CrossEntropyDice(cross_entropy_weight=0.0)
    assert float(only_dice(label, probability)) == pytest.approx(1 - 1 / 65, abs=1e-6)


@pytest.mark.parametrize("truth", [0, 1])
@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_loss_and_gradient_are_finite_at_certain_probabilities(truth, probability):
    label = np.full((1, 2, 2, 1), truth, np.uint8)
    variable = tf.Variable(np.full(label.shape, probability, np.float32))
    with tf.GradientTape() as tape:
        value = CrossEntropyDice()(label, variable)
    assert np.isfinite(float(value))
    assert np.all(np.isfinite(tape.gradient(value, variable)))


def test_the_metric_is_the_mean_over_images_with_empty_ones_perfect():
    label = np.zeros((3, 2, 2, 1), np.uint8)
    probability = np.zeros(label.shape, np.float32)
    label[1] = 1  # missed altogether
    label[2, 0], probability[2, :, 0] = 1, 0.5  # half of it found, at the threshold itself
    np.testing.assert_allclose(dice(label, tf.constant(probability)), [1, 0, 0.5])
    metric = keras.metrics.MeanMetricWrapper(dice)
    metric.update_state(label, probability)
    assert float(metric.result()) == pytest.approx(0.5)


def test_a_better_prediction_costs_less():
    label, _ = _random_batch(4)
    target = (label == 1).astype(np.float32)
    losses = [
        float(CrossEntropyDice()(label, share * target + (1 - share) * (1 - target)))
        for share in (0.0, 0.3, 0.6, 0.9, 1.0)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(0, abs=1e-5)


def test_the_loss_survives_serialisation():
    loss = CrossEntropyDice(0.25, 2.0, name="mixed")
    restored = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(restored, CrossEntropyDice)
    assert restored.get_config() == loss.get_config()
    label, probability = _random_batch(5)
    assert float(restored(label, probability)) == float(loss(label, probability))


def test_the_metric_is_known_to_keras_by_name():
    assert keras.saving.get_registered_object("unetflow>dice") is dice
