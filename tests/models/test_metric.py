import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.losses import images, random_prediction, random_truth
from tests.support.networks import dice_slowly
from unetflow.metrics.pixels import count_confusion
from unetflow.models.segmentation_loss import dice

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)


@few
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 5))
def test_with_a_sigmoid_channel_it_equals_a_loop_over_the_pixels(seed, height):
    truth, chance = (
        random_truth(seed, 3, 1, (height, 2)),
        random_prediction(seed, 3, 1, (height, 2)),
    )
    expected = [dice_slowly(t, p) for t, p in zip(truth, chance, strict=True)]
    np.testing.assert_allclose(dice(truth, tf.constant(chance)), expected, rtol=1e-6)


@few
@given(seed=st.integers(0, 2**32 - 1), channels=st.integers(2, 4), height=st.integers(1, 3))
def test_with_several_channels_it_is_the_mean_over_the_present_classes(seed, channels, height):
    size = (height, 2)
    truth, chance = (
        random_truth(seed, 3, channels, size),
        random_prediction(seed, 3, channels, size),
    )
    expected = []
    for label, p in images(truth, chance):
        found = p.argmax(axis=1)
        there = sorted(({*label} | {*found}) - {0})
        each = [count_confusion(label[None], found[None] == c, c).dice for c in there]
        expected.append(np.mean(each) if each else 1.0)
    np.testing.assert_allclose(dice(truth, tf.constant(chance)), expected, rtol=1e-6)


def test_a_case_of_three_classes_computed_by_hand():
    truth = np.array([0, 1, 1, 2, 255, 255], np.uint8).reshape(1, 2, 3, 1)
    found = np.array([0, 1, 0, 1, 2, 3])
    chance = np.eye(4, dtype=np.float32)[found].reshape(1, 2, 3, 4)
    # Class 1: 2 * 1 / (2 + 2). Class 2: missed. Class 3: only where it is ignored.
    np.testing.assert_allclose(dice(truth, tf.constant(chance)), [0.25])


@pytest.mark.parametrize("channels", [2, 3])
def test_it_is_one_for_an_empty_truth_with_an_empty_prediction(channels):
    truth = np.zeros((1, 2, 2, 1), np.uint8)
    truth[0, 0, 0] = 255
    chance = np.eye(channels, dtype=np.float32)[np.array([[1, 0], [0, 0]])][None]
    assert float(dice(truth, tf.constant(chance))[0]) == 1


def test_it_is_the_mean_over_images_with_empty_ones_perfect():
    truth = np.zeros((3, 2, 2, 1), np.uint8)
    chance = np.zeros(truth.shape, np.float32)
    truth[1] = 1  # missed altogether
    truth[2, 0], chance[2, :, 0] = 1, 0.5  # half of it found, at the threshold itself
    np.testing.assert_allclose(dice(truth, tf.constant(chance)), [1, 0, 0.5])
    metric = keras.metrics.MeanMetricWrapper(dice)
    metric.update_state(truth, chance)
    assert float(metric.result()) == pytest.approx(0.5)


def test_ignored_pixels_and_weights_do_not_change_it():
    truth, chance = random_truth(1, 3, 1), random_prediction(1, 3, 1)
    other = np.where(truth == 255, 1 - chance, chance)
    weighted = np.concatenate([truth, np.full_like(truth, 7)], axis=-1).astype(np.float32)
    np.testing.assert_array_equal(dice(truth, chance), dice(truth, other))
    np.testing.assert_array_equal(dice(truth, chance), dice(weighted, tf.constant(chance)))


def test_it_is_registered_with_keras():
    assert keras.saving.get_registered_object("unetflow>dice") is dice
