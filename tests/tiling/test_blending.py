from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tests.support.images import random_pixels
from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry, unet_geometry
from unetflow.tiling.windows import (
    measure_blending_error,
    plan_blended_windows,
    plan_windows,
    predict_blended,
    predict_tiled,
)

GEOMETRIES = st.builds(unet_geometry, st.integers(1, 5), st.sampled_from(["same", "valid"]))


@given(GEOMETRIES, st.integers(1, 2000), st.integers(0, 200), st.integers(1, 700))
def test_weights_of_all_windows_sum_to_one(geometry, length, overlap, tile):
    windows = plan_blended_windows(length, geometry, overlap, tile)
    lost = 2 * geometry.shrink
    total = np.zeros(windows[-1].stop - lost)
    for window in windows:
        assert geometry.fits(window.stop - window.start)
        assert window.start % geometry.stride == 0
        assert len(window.weights) == window.stop - window.start - lost
        assert window.weights.min() > 0
        total[window.start : window.start + len(window.weights)] += window.weights
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert len(total) >= length
    assert windows[0].start == 0


@given(GEOMETRIES, st.integers(1, 2000), st.integers(0, 200), st.integers(1, 700))
def test_windows_have_the_requested_overlap_and_no_unneeded_length(geometry, length, overlap, tile):
    windows = plan_blended_windows(length, geometry, overlap, tile)
    lost = 2 * geometry.shrink
    for one, following in pairwise(windows):
        assert one.stop - lost - following.start >= overlap
    edge = windows[0].stop
    assert edge <= max(tile, geometry.fit(lost + overlap + geometry.stride))


def test_a_smaller_overlap_needs_fewer_windows():
    geometry = unet_geometry(4, "same")
    blended = plan_blended_windows(4000, geometry, overlap=64, tile=512)
    assert len(blended) == 9
    assert len(plan_windows(4000, geometry, tile=512)) == 14


def test_weights_are_highest_in_the_middle_and_fall_towards_the_sides():
    (_, middle, _) = plan_blended_windows(60, Geometry(1, 0, 0, 0), overlap=10, tile=30)[:3]
    assert middle.weights.argmax() in range(10, 20)
    assert np.all(np.diff(middle.weights[:10]) >= 0)
    assert np.all(np.diff(middle.weights[20:]) <= 0)


@given(
    st.builds(unet_geometry, st.integers(1, 3), st.sampled_from(["same", "valid"])),
    st.tuples(st.integers(1, 150), st.integers(1, 150)),
    st.integers(0, 40),
    st.integers(1, 120),
)
def test_a_pointwise_predictor_has_no_blending_error(geometry, size, overlap, tile):
    image, cut = random_pixels((*size, 2)), slice(geometry.shrink, -geometry.shrink or None)

    def predict(batch):
        assert len(batch) <= 4
        return batch[:, cut, cut].astype(np.float32) / np.float32(255)

    found = predict_blended(predict, image, geometry, overlap, tile)
    np.testing.assert_allclose(found, image.astype(np.float32) / 255, atol=1e-5)
    error = measure_blending_error(predict, image, geometry, overlap, tile)
    assert 0 <= error.mean <= error.largest < 1e-5


def blur(batch):
    return ndimage.uniform_filter(batch.astype(np.float32) / 255, (1, 9, 9, 1), mode="constant")


def test_the_blending_error_is_the_difference_from_the_exact_result_and_falls_with_the_overlap():
    image, geometry = random_pixels((150, 130, 1)), Geometry(1, 0, 0, 4)
    found = [
        measure_blending_error(blur, image, geometry, overlap, tile=50) for overlap in (0, 8, 24)
    ]
    assert found[0].largest > 0.1
    assert found[0].mean > 2 * found[1].mean > 4 * found[2].mean > 0
    difference = np.abs(
        predict_blended(blur, image, geometry, 8, 50) - predict_tiled(blur, image, geometry, 50)
    )
    assert found[1].largest == pytest.approx(difference.max())
    assert found[1].mean == pytest.approx(difference.mean(), rel=1e-4)


def test_blending_equals_a_plain_weighted_mean():
    image, geometry = random_pixels((40, 33, 1)), Geometry(1, 0, 0, 4)
    rows, columns = (plan_blended_windows(n, geometry, 5, 20) for n in (40, 33))
    expected = np.zeros((40, 33))
    for r in rows:
        for c in columns:
            output = blur(image[np.newaxis, r.start : r.stop, c.start : c.stop])[0, :, :, 0]
            for y, row in enumerate(output):
                for x, value in enumerate(row):
                    expected[r.start + y, c.start + x] += value * r.weights[y] * c.weights[x]
    found = predict_blended(blur, image, geometry, 5, 20)
    np.testing.assert_allclose(found[:, :, 0], expected, atol=1e-6)


def test_a_negative_overlap_is_refused():
    with pytest.raises(InputError, match="-1 is negative"):
        plan_blended_windows(10, Geometry(1, 0, 0, 0), -1, 5)
