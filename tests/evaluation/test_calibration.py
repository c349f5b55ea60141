import json

import numpy as np
import pytest
from scipy.special import expit, softmax

from unetflow.evaluation.calibration import (
    PixelSample,
    describe_calibration,
    fit_temperature,
    log_loss,
    measure_reliability,
)
from unetflow.inference.postprocessing import apply_temperature, scale_threshold


def sample_of(truth, probabilities, size=10**6):
    pixels = PixelSample(size, np.random.default_rng(0))
    pixels.add(np.asarray(truth, np.uint8), np.asarray(probabilities, np.float32))
    return pixels


def overconfident(logits_of, temperature, seed=0):
    """Make pixels whose truth follows logits that the network states too large or too small."""
    random = np.random.default_rng(seed)
    logits = logits_of(random)
    honest = softmax(logits, axis=-1)
    truth = (honest.cumsum(axis=-1) < random.random((*honest.shape[:-1], 1))).sum(axis=-1)
    return truth.astype(np.uint8), softmax(logits * temperature, axis=-1).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("classes", [2, 4])
def test_known_temperature_is_recovered(temperature, classes):
    truth, stated = overconfident(lambda r: r.normal(0, 1.5, (200, 300, classes)), temperature)
    pixels = sample_of(truth, stated)
    assert fit_temperature(pixels) == pytest.approx(temperature, rel=0.05)
    described = describe_calibration(pixels, temperature, 15)
    assert described["after"]["expected_calibration_error"] < 0.01
    if temperature != 1:
        assert described["before"]["expected_calibration_error"] > 0.03
    loss = [described[when]["negative_log_likelihood"] for when in ("after", "before")]
    assert loss[0] <= loss[1]
    assert json.loads(json.dumps(described)) == described


def test_a_foreground_alone_is_the_same_as_two_probabilities():
    truth, stated = overconfident(lambda r: r.normal(0, 2, (40, 50, 2)), 2.0)
    alone, both = sample_of(truth, stated[:, :, 1:]), sample_of(truth, stated)
    assert fit_temperature(alone) == pytest.approx(fit_temperature(both), rel=1e-4)
    np.testing.assert_allclose(
        apply_temperature(stated[:, :, 1:], 2.0)[:, :, 0],
        apply_temperature(stated, 2.0)[:, :, 1],
        atol=1e-4,  # 1 - p loses digits near 1
    )


def test_a_temperature_divides_the_logits():
    logits = np.array([[-3.0, 0.5, 2.0], [0.0, 0.0, 4.0]])
    found = apply_temperature(softmax(logits, axis=1).astype(np.float32), 2.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, softmax(logits / 2, axis=1), atol=1e-6)
    alone = apply_temperature(expit(logits)[..., np.newaxis].astype(np.float32), 0.5)
    np.testing.assert_allclose(alone[..., 0], expit(logits / 0.5), atol=1e-6)
    assert scale_threshold(float(expit(1.0)), 2.0) == pytest.approx(expit(0.5))


def test_a_temperature_of_one_changes_no_bit_and_certain_pixels_stay_finite():
    probabilities = np.array([[[0.0], [0.3], [1.0]]], np.float32)
    assert apply_temperature(probabilities, 1.0) is probabilities
    for temperature in (0.1, 10.0):
        found = apply_temperature(probabilities, temperature)
        assert np.isfinite(found).all()
        assert found[0, 0, 0] < found[0, 1, 0] < found[0, 2, 0]


def test_a_network_without_errors_has_a_temperature_within_bounds():
    truth = np.array([[0, 1, 1, 0]])
    assert 0.09 < fit_temperature(sample_of(truth, np.where(truth, 0.9, 0.1)[..., None])) < 0.12
    ignored = sample_of(np.full((2, 2), 255), np.full((2, 2, 1), 0.5))
    assert fit_temperature(ignored) == 1.0
    assert describe_calibration(ignored, 1.0, 5)["pixels"] == 0


def test_log_loss_by_hand():
    pixels = sample_of([[1, 0]], [[[0.8], [0.4]]])
    assert log_loss(pixels, 1.0) == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2, rel=1e-6)


def test_reliability_by_hand():
    stated = np.array([0.05, 0.15, 0.55, 0.6, 1.0])
    probabilities = np.stack([1 - stated, stated], axis=1).astype(np.float32)
    found = measure_reliability(probabilities, np.array([0, 1, 1, 0, 1], np.uint8), 2)
    assert found.pixels.tolist() == [2, 3]
    assert found.mean_probability == pytest.approx([0.1, 2.15 / 3])
    assert found.share_true == pytest.approx([0.5, 2 / 3])
    assert found.expected_error == pytest.approx(0.4 * 2 / 5 + abs(2 / 3 - 2.15 / 3) * 3 / 5)


def test_of_many_classes_it_is_the_confidence_in_the_most_probable_one():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32)
    found = measure_reliability(probabilities, np.array([0, 1], np.uint8), 10)
    assert found.pixels[[6, 7]].sum() == found.pixels.sum() == 2
    assert found.expected_error == pytest.approx((0.3 + 0.6) / 2, abs=1e-6)


def test_ignored_pixels_are_never_drawn_and_the_sample_keeps_its_size():
    pixels = PixelSample(50, np.random.default_rng(0))
    for value in range(4):
        truth = np.full((10, 10), value % 2, np.uint8)
        truth[:, 5:] = 255
        stated = np.full((10, 10, 1), value / 8, np.float32)
        stated[:, 5:] = 0.99
        pixels.add(truth, stated)
    assert pixels.probabilities.shape == (50, 2)
    assert pixels.probabilities[:, 1].max() < 0.4
    counts = np.bincount((pixels.probabilities[:, 1] * 8).astype(int), minlength=4)
    assert (counts > 3).all()
    np.testing.assert_array_equal(pixels.truth, (pixels.probabilities[:, 1] * 8).astype(int) % 2)


def test_each_pixel_is_as_likely_whatever_its_image():
    drawn = np.zeros(30)
    for seed in range(400):
        pixels = PixelSample(10, np.random.default_rng(seed))
        for first, last in ((0, 3), (3, 4), (4, 30)):
            numbers = np.arange(first, last)[np.newaxis, :, np.newaxis] / 100
            pixels.add(np.zeros((1, last - first), np.uint8), numbers.astype(np.float32))
        drawn[np.round(pixels.probabilities[:, 1] * 100).astype(int)] += 1
    assert drawn.sum() == 4000
    assert abs(drawn - 400 / 3).max() < 5 * np.sqrt(400 / 3 * 2 / 3)
