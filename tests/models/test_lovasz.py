import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from tests.support.losses import images, losses_of, random_prediction, random_truth

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)


def _jaccard_loss(truth, mistaken):
    """1 - |A and B| / |A or B| of the truth A and a prediction B with misclassified pixels."""
    predicted = truth ^ mistaken
    union = (truth | predicted).sum()
    return 1 - (truth & predicted).sum() / union if union else 0.0


def _extension(truth, errors):
    """The Lovász extension by definition: each error, in descending order, times the increase of
    the set function when its pixel is added."""
    mistaken, before, total = np.zeros(len(truth), bool), 0.0, 0.0
    for pixel in np.argsort(-errors):
        mistaken[pixel] = True
        value = _jaccard_loss(truth, mistaken)
        total += errors[pixel] * (value - before)
        before = value
    return total


def _slowly(label, p, sigmoid):
    classes = [1] if sigmoid else np.unique(label)
    each = [_extension(label == c, np.abs((label == c) - p[:, c])) for c in classes]
    return np.mean(each) if each else 0.0


@few
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 3),
    channels=st.sampled_from([1, 2, 4]),
    width=st.integers(1, 6),
)
def test_it_equals_the_definition(seed, batch, channels, width):
    size = (3, width)
    truth = random_truth(seed, batch, channels, size)
    chance = random_prediction(seed, batch, channels, size)
    expected = [_slowly(label, p, channels == 1) for label, p in images(truth, chance)]
    np.testing.assert_allclose(losses_of("lovasz", truth, chance), expected, rtol=1e-4, atol=1e-5)


def test_for_a_binary_prediction_it_is_one_minus_the_jaccard_index():
    truth = random_truth(1, 6, 1)
    found = (random_prediction(1, 6, 1) > 0.4).astype(np.float32)
    expected = [
        1 - jaccard_score(t[t != 255], p[t != 255]) for t, p in zip(truth, found, strict=True)
    ]
    assert np.std(expected) > 0.05
    np.testing.assert_allclose(losses_of("lovasz", truth, found), expected, atol=1e-6)


def test_for_one_hot_predictions_it_is_one_minus_the_mean_jaccard_index():
    truth = random_truth(2, 4, 3)
    found = np.eye(3, dtype=np.float32)[random_prediction(2, 4, 3).argmax(axis=-1)]
    expected = [
        1 - jaccard_score(label, p.argmax(axis=1), labels=np.unique(label), average="macro")
        for label, p in images(truth, found)
    ]
    np.testing.assert_allclose(losses_of("lovasz", truth, found), expected, atol=1e-6)


def test_the_loss_without_foreground_is_the_largest_error():
    truth = np.zeros((1, 2, 2, 1), np.uint8)
    truth[0, 0, 0] = 255
    chance = np.array([0.9, 0.2, 0.6, 0.1], np.float32).reshape(truth.shape)
    assert losses_of("lovasz", truth, chance)[0] == pytest.approx(0.6)


def test_with_several_channels_an_image_of_background_has_a_loss():
    truth = np.zeros((1, 2, 2, 1), np.uint8)
    chance = np.tile(np.array([0.25, 0.75], np.float32), (1, 2, 2, 1))
    assert losses_of("lovasz", truth, chance)[0] == pytest.approx(0.75)
