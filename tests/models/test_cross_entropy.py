import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from tests.support.losses import images, losses_of, random_prediction, random_truth

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)


def _bce(p, true_class, sigmoid):
    """One pixel: each channel against the rest; one channel of the foreground counts once."""
    terms = [-np.log(p[c] if c == true_class else 1 - p[c]) for c in range(len(p))]
    return terms[1] if sigmoid else np.mean(terms)


def _cce(p, true_class, sigmoid):
    return -np.log(p[true_class])


def _focal(p, true_class, sigmoid):
    return -((1 - p[true_class]) ** 2) * np.log(p[true_class])


SLOW = {"bce": _bce, "cce": _cce, "focal": _focal}


def _slowly(name, truth, chance, class_weights=None, weight_map=None):
    sigmoid = chance.shape[-1] == 1
    means = []
    for number, (label, p) in enumerate(images(truth, chance)):
        weight = np.ones(len(label))
        if weight_map is not None:
            weight = weight_map[number][truth[number] != 255].astype(np.float64)
        if class_weights is not None:
            weight = weight * np.array(class_weights)[label]
        pixels = [SLOW[name](p[i], label[i], sigmoid) * weight[i] for i in range(len(label))]
        means.append(sum(pixels) / max(len(pixels), 1))
    return means


@few
@given(
    name=st.sampled_from(sorted(SLOW)),
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 3),
    channels=st.sampled_from([1, 2, 4]),
    weighted=st.booleans(),
    mapped=st.booleans(),
)
def test_they_equal_a_loop_over_the_pixels(name, seed, batch, channels, weighted, mapped):
    truth, chance = random_truth(seed, batch, channels), random_prediction(seed, batch, channels)
    class_weights = (0.5, 2.0, 3.0, 0.25)[: max(channels, 2)] if weighted else None
    weight_map, y_true = None, truth
    if mapped:
        weight_map = np.random.default_rng(seed).uniform(0, 9, truth.shape).astype(np.float32)
        y_true = np.concatenate([truth.astype(np.float32), weight_map], axis=-1)
    found = losses_of(name, y_true, chance, class_weights)
    expected = _slowly(name, truth, chance, class_weights, weight_map)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("channels", [2, 3])
def test_scikit_learn_has_the_same_cross_entropy(channels):
    truth, chance = random_truth(3, 4, channels), random_prediction(3, 4, channels)
    expected = [
        log_loss(label, p.astype(np.float32), labels=range(channels))
        for label, p in images(truth, chance)
    ]
    np.testing.assert_allclose(losses_of("cce", truth, chance), expected, rtol=1e-5)


def test_with_a_sigmoid_channel_both_cross_entropies_are_the_same():
    truth, chance = random_truth(4, 3, 1), random_prediction(4, 3, 1)
    found = losses_of("cce", truth, chance, (0.3, 2.0))
    np.testing.assert_allclose(found, losses_of("bce", truth, chance, (0.3, 2.0)), rtol=1e-5)


@pytest.mark.parametrize("name", sorted(SLOW))
def test_weighted_sums_are_divided_by_the_number_of_pixels(name):
    truth = np.array([0, 1, 255, 1], np.float32).reshape(1, 2, 2, 1)
    weight = np.array([3, 5, np.nan, 0], np.float32).reshape(truth.shape)
    chance = np.array([0.5, 0.5, 0.9, 0.1], np.float32).reshape(truth.shape)
    pixel = np.log(2) / 4 if name == "focal" else np.log(2)
    found = losses_of(name, np.concatenate([truth, weight], axis=-1), chance, (0.5, 2.0))
    assert found[0] == pytest.approx(pixel * (3 * 0.5 + 5 * 2) / 3, rel=1e-5)


def test_the_focal_loss_of_a_pixel_computed_by_hand():
    truth = np.full((1, 1, 1, 1), 1, np.uint8)
    chance = np.full(truth.shape, 0.75, np.float32)
    assert losses_of("focal", truth, chance)[0] == pytest.approx(-np.log(0.75) / 16, rel=1e-5)
