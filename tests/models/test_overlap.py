import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.losses import gradient_of, images, losses_of, random_prediction, random_truth
from tests.support.networks import loss_slowly

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)


def _counts(label, p, index):
    """Return the soft counts of true positives, false positives and false negatives."""
    hit = wrong = missed = 0.0
    for pixel, chance in zip(label, p[:, index], strict=True):
        if pixel == index:
            hit, missed = hit + chance, missed + 1 - chance
        else:
            wrong += chance
    return hit, wrong, missed


def _dice_loss(hit, wrong, missed):
    return 1 - (2 * hit + 1) / (2 * hit + wrong + missed + 1)


def _tversky_loss(hit, wrong, missed):
    return 1 - (hit + 0.5) / (hit + 0.3 * wrong + 0.7 * missed + 0.5)


@few
@given(
    loss=st.sampled_from([("dice", _dice_loss), ("tversky", _tversky_loss)]),
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 3),
    channels=st.sampled_from([1, 2, 4]),
)
def test_they_equal_a_loop_over_the_pixels(loss, seed, batch, channels):
    name, slowly = loss
    truth, chance = random_truth(seed, batch, channels), random_prediction(seed, batch, channels)
    expected = [
        np.mean([slowly(*_counts(label, p, c)) for c in range(1, p.shape[1])])
        for label, p in images(truth, chance)
    ]
    np.testing.assert_allclose(losses_of(name, truth, chance), expected, rtol=1e-4, atol=1e-6)


@few
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 5))
def test_bce_plus_dice_equals_a_loop_over_the_pixels(seed, height):
    truth, chance = (
        random_truth(seed, 3, 1, (height, 5)),
        random_prediction(seed, 3, 1, (height, 5)),
    )
    expected = [loss_slowly(t, p) for t, p in zip(truth, chance, strict=True)]
    np.testing.assert_allclose(losses_of("bce + dice", truth, chance), expected, rtol=1e-4)


def test_present_dice_leaves_out_what_the_truth_lacks():
    truth = np.array([[0, 0, 255], [1, 0, 255], [2, 1, 255]], np.uint8).reshape(3, 1, 3, 1)
    chance = random_prediction(1, 3, 3, (1, 3))
    found = losses_of("present_dice", truth, chance)
    p = chance.reshape(3, 3, 3)
    assert found[0] == 0
    first = 1 - (2 * p[1, 0, 1] + 1) / (p[1, :2, 1].sum() + 2)
    assert found[1] == pytest.approx(first, rel=1e-4)
    second = [1 - (2 * p[2, n, c] + 1) / (p[2, :2, c].sum() + 2) for n, c in ((1, 1), (0, 2))]
    assert found[2] == pytest.approx(np.mean(second), rel=1e-4)


def test_present_dice_is_the_dice_where_all_classes_are_there():
    truth, chance = random_truth(3, 2, 3, (6, 7)), random_prediction(3, 2, 3, (6, 7))
    truth[:, 0, :3, 0] = [0, 1, 2]
    np.testing.assert_allclose(
        losses_of("present_dice", truth, chance), losses_of("dice", truth, chance), rtol=1e-6
    )


def test_an_empty_image_has_no_gradient_of_the_present_dice():
    truth, chance = np.zeros((1, 4, 4, 1), np.uint8), random_prediction(1, 1, 1, (4, 4))
    assert np.all(gradient_of("present_dice", truth, chance) == 0)
    assert np.abs(gradient_of("dice", truth, chance / 100)).min() > 0.5  # of each pixel


def test_a_loss_computed_by_hand():
    truth = np.array([[1, 0], [255, 1]], np.uint8).reshape(1, 2, 2, 1)
    chance = np.array([[0.5, 0.5], [0.9, 1.0]], np.float32).reshape(1, 2, 2, 1)
    # Cross-entropy: (ln 2 + ln 2 + 0) / 3. Dice: (2 (0.5 + 1) + 1) / (2 + 2 + 1) = 0.8.
    found = losses_of("bce + dice", truth, chance)
    assert found[0] == pytest.approx(2 * np.log(2) / 3 + 0.2, abs=1e-5)
    # TP = 1.5, FP = 0.5, FN = 0.5: 2 / (1.5 + 0.15 + 0.35 + 0.5) = 0.8.
    assert losses_of("tversky", truth, chance)[0] == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("name", ["dice", "tversky"])
def test_the_loss_of_an_empty_image_is_zero_without_a_prediction_and_else_nearly_one(name):
    truth = np.zeros((1, 8, 8, 1), np.uint8)
    empty, full = np.zeros(truth.shape, np.float32), np.ones(truth.shape, np.float32)
    assert losses_of(name, truth, empty)[0] == 0
    share = 1 if name == "dice" else 0.6
    assert losses_of(name, truth, full)[0] == pytest.approx(1 - 1 / (64 * share + 1), abs=1e-6)


def test_tversky_weights_a_missed_pixel_more_than_a_false_one():
    truth = np.zeros((2, 8, 8, 1), np.uint8)
    truth[:, :4] = 1
    chance = truth.astype(np.float32)
    chance[0, 3], chance[1, 4] = 0, 1
    missed, wrong = losses_of("tversky", truth, chance)
    assert missed > 1.5 * wrong
