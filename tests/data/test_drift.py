import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetflow.data.intensity import (
    DriftReference,
    describe_drift,
    intensity_histogram,
    measure_drift_reference,
    measure_moments,
)


def _image(mean, deviation, shape=(40, 50), channels=1, seed=0):
    noise = np.random.default_rng(seed).normal(0, 1, (*shape, channels))
    noise = (noise - noise.mean(axis=(0, 1))) / noise.std(axis=(0, 1))
    return np.clip(mean + deviation * noise, 0, 65535).round().astype(np.uint16)


def _range_of(images):
    edges = [edge for image in images for edge in image.shape[:2]]
    moments = [measure_moments(intensity_histogram(image)) for image in images]
    return measure_drift_reference(moments, edges)


SEEN = _range_of([_image(1000, 100), _image(1400, 200, (60, 44))])


def test_the_range_is_that_of_the_images_means_and_deviations():
    random = np.random.default_rng(1)
    images = [random.integers(0, high, (8, 9, 2)).astype(np.uint8) for high in (50, 120, 200)]
    seen = _range_of(images)
    for channel in range(2):
        means = [image[..., channel].mean() for image in images]
        deviations = [image[..., channel].std() for image in images]
        assert seen.brightness[channel] == pytest.approx([min(means), max(means)])
        assert seen.contrast[channel] == pytest.approx([min(deviations), max(deviations)])
    assert seen.edge == [8, 9]


def test_reference_survives_json():
    assert DriftReference(**json.loads(json.dumps(asdict(SEEN)))) == SEEN


@given(st.floats(1000, 1400), st.floats(100, 200), st.integers(0, 3))
def test_image_within_the_range_has_no_drift(mean, deviation, seed):
    assert describe_drift(_image(mean, deviation, seed=seed), SEEN) == ""


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (_image(780, 150), "brightness 780 of channel 1, there 1000 to 1400"),
        (_image(1620, 150), "brightness 1620 of channel 1"),
        (_image(1200, 45), "contrast 45"),
        (_image(1200, 260), "contrast 260"),
        (_image(1200, 150, (19, 50)), "an edge of 19 pixels, there 40 and more"),
    ],
)
def test_values_out_of_range_are_named(image, told):
    text = describe_drift(image, SEEN)
    assert text.startswith("unlike the training data: ")
    assert told in text


def test_values_slightly_out_of_range_and_longer_edges_are_tolerated():
    for image in (
        _image(820, 150),
        _image(1580, 150),
        _image(1200, 60),
        _image(1200, 150, (400, 300)),
    ):
        assert describe_drift(image, SEEN) == ""


def test_tolerance_of_equal_images_is_a_tenth_of_their_value():
    seen = _range_of([_image(1000, 100)])
    assert describe_drift(_image(1090, 105), seen) == ""
    assert "brightness" in describe_drift(_image(1110, 100), seen)


def test_each_channel_is_checked():
    grey = _image(1000, 100, channels=3)
    seen = _range_of([grey])
    changed = grey.copy()
    changed[..., 2] //= 2
    text = describe_drift(changed, seen)
    assert "channel 3" in text
    assert "channel 1" not in text


def test_an_image_of_one_value_has_no_contrast():
    assert "contrast 0" in describe_drift(np.full((40, 40, 1), 1200, np.uint16), SEEN)


def test_half_of_the_lowest_brightness_is_always_out_of_range():
    seen = _range_of([_image(1000, 100), _image(9000, 100)])
    assert describe_drift(_image(510, 100), seen) == ""
    assert "brightness" in describe_drift(_image(480, 100), seen)


def test_shape_of_the_whole_image_is_used_for_a_sample_of_its_pixels():
    sample = _image(1200, 150, (19, 50))
    assert describe_drift(sample, SEEN, (190, 500)) == ""
    assert "an edge of 19 pixels" in describe_drift(sample, SEEN, (500, 19))
