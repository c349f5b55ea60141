import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unetflow.augmentation.policy import Augmenter
from unetflow.augmentation.transforms import ElasticField, albumentations, draw_smooth_field


def fields(smoothness, shape=(96, 80), count=60):
    return np.stack(
        [draw_smooth_field(np.random.default_rng(n), *shape, smoothness) for n in range(count)]
    )


def correlation(values, distance):
    """Correlate values with those that lie to the right of them."""
    return np.mean(values[..., :-distance] * values[..., distance:])


@pytest.mark.parametrize("smoothness", [1, 1.5, 3, 8, 9.7])
def test_the_field_is_that_of_smoothed_white_noise(smoothness):
    values = fields(smoothness)
    for distance in (1, 3, 8, 16):
        expected = np.exp(-(distance**2) / (4 * smoothness**2))
        assert correlation(values, distance) == pytest.approx(expected, abs=0.07)
    assert np.mean(values**2) == pytest.approx(1, abs=0.1)
    # A slow way to the same: noise at every pixel, and SciPy's Gaussian.
    noise = np.random.default_rng(0).normal(size=(60, 96, 80))
    slow = ndimage.gaussian_filter(noise, (0, smoothness, smoothness), mode="wrap")
    slow /= slow.std()
    for distance in (2, 6):
        found = correlation(values, distance)
        assert found == pytest.approx(correlation(slow, distance), abs=0.12)


def test_it_is_as_strong_at_the_border_as_in_the_middle_and_between_the_nodes():
    strength = np.sqrt(np.mean(fields(8, count=400) ** 2, axis=(0, 1)))
    assert strength.shape == (96, 80)
    assert 0.85 < strength.min() <= strength.max() < 1.15


def test_down_and_right_have_nothing_to_do_with_each_other():
    values = fields(8, count=200)
    assert abs(np.mean(values[:, 0, -1] * values[:, 1, 0])) < 0.1
    assert abs(np.mean(values[:, 0] * values[:, 1])) < 0.05


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.floats(1, 30))
def test_every_size_gets_finite_values_that_the_seed_decides(height, width, smoothness):
    one, same, other = (
        draw_smooth_field(np.random.default_rng(seed), height, width, smoothness)
        for seed in (1, 1, 2)
    )
    assert one.shape == (2, height, width)
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_displacement_is_in_pixels():
    drawn = []
    for seed in range(80):
        transform = ElasticField(displacement=3.0, smoothness=6.0, p=1.0)
        transform.set_random_seed(seed)
        transform(image=np.zeros((64, 64, 1), np.float32))
        drawn.append(transform.params["map_x"] - np.arange(64))
    assert np.std(drawn) == pytest.approx(3.0, rel=0.1)


def test_the_default_bends_as_much_as_albumentations_own_with_the_strength_of_before():
    image = np.stack(np.mgrid[:256, :256], axis=-1).astype(np.float32)
    theirs = albumentations.ElasticTransform(alpha=60, sigma=8, border_mode=4, p=1.0)
    ours = ElasticField(displacement=0.5, smoothness=8.0, p=1.0)
    spread = {}
    for transform in (theirs, ours):
        moved = []
        for seed in range(30):
            transform.set_random_seed(seed)
            moved.append(transform(image=image)["image"] - image)
        spread[transform] = np.std(np.stack(moved)[:, 8:-8, 8:-8])
    assert spread[ours] == pytest.approx(spread[theirs], rel=0.15)


def test_what_goes_on_beyond_the_border_is_the_mirror_image():
    rows = np.arange(40, dtype=np.float32)
    image = np.broadcast_to(rows[:, None, None], (40, 40, 1)).copy()
    augmenter = Augmenter(
        [{"transform": "ElasticField", "displacement": 5.0, "smoothness": 8.0, "p": 1.0}]
    )
    for seed in range(10):
        changed, _ = augmenter(image, np.zeros((40, 40), np.uint8), seed)
        assert 0 <= changed.min() <= changed.max() <= 39
        assert np.abs(np.diff(changed[:, :, 0], axis=0)).max() < 5
