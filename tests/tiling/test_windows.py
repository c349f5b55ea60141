from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tests.support.images import random_pixels
from unetflow.core.geometry import Geometry, lost_pixels, unet_geometry
from unetflow.tiling.windows import plan_windows, predict_tiled

GEOMETRIES = st.builds(unet_geometry, st.integers(1, 5), st.sampled_from(["same", "valid"]))


def test_valid_geometry_has_the_sizes_of_the_paper():
    geometry = unet_geometry(4, "valid")
    assert lost_pixels(4) == 572 - 388 == 184
    assert geometry == Geometry(stride=16, remainder=12, shrink=92, margin=0)
    assert [edge for edge in range(560, 600) if geometry.fits(edge)] == [572, 588]
    assert [edge for edge in range(600) if geometry.fits(edge)] == list(range(188, 600, 16))
    assert all((edge - 60) % 16 == 0 for edge in range(600) if geometry.fits(edge))


def valid_unet_sizes(edge, depth):
    """Return the output edge of a valid U-Net; None where a pooling meets an odd edge."""
    for _ in range(depth):
        edge -= 4
        if edge <= 0 or edge % 2:
            return None
        edge //= 2
    edge -= 4
    for _ in range(depth):
        edge = 2 * edge - 4
        if edge <= 0:
            return None
    return edge if edge > 0 else None


@pytest.mark.parametrize("depth", range(6))
def test_valid_geometry_equals_a_level_by_level_count(depth):
    geometry = unet_geometry(depth, "valid")
    for edge in range(1, 700):
        output = valid_unet_sizes(edge, depth)
        assert geometry.fits(edge) == (output is not None)
        if output is not None:
            assert edge - output == lost_pixels(depth) == 2 * geometry.shrink


@pytest.mark.parametrize("depth", range(1, 6))
def test_margin_of_same_geometry_is_the_radius_rounded_up_to_the_stride(depth):
    geometry = unet_geometry(depth, "same")
    assert 0 <= geometry.margin - (7 * 2**depth - 5) < geometry.stride
    assert geometry.margin % geometry.stride == 0
    assert (geometry.stride, geometry.remainder, geometry.shrink) == (2**depth, 0, 0)


@given(GEOMETRIES, st.integers(1, 2000))
def test_fit_is_the_smallest_edge_that_is_large_enough(geometry, edge):
    fitting = geometry.fit(edge)
    assert edge <= fitting < edge + geometry.stride
    assert fitting % geometry.stride == geometry.remainder


@pytest.mark.parametrize(
    ("depth", "padding", "edge", "named"),
    [
        (4, "valid", 570, "556 and 572"),
        (4, "valid", 573, "572 and 588"),
        (4, "valid", 10, "188"),
        (3, "same", 100, "96 and 104"),
        (3, "same", 5, "8"),
        (3, "same", 0, "8"),
    ],
)
def test_nearest_names_the_edges_that_fit(depth, padding, edge, named):
    geometry = unet_geometry(depth, padding)
    assert geometry.nearest(edge) == named
    assert all(geometry.fits(int(number)) for number in named.split(" and "))


@settings(max_examples=100)
@given(GEOMETRIES, st.integers(1, 3000), st.integers(1, 900))
def test_windows_partition_the_axis_and_fit_the_network(geometry, length, tile):
    windows = plan_windows(length, geometry, tile)
    lost, margin = 2 * geometry.shrink, geometry.margin
    edges = {window.stop - window.start for window in windows}
    assert len(edges) == 1
    assert geometry.fits(edges.pop())
    assert all(window.start % geometry.stride == 0 for window in windows)
    assert windows[0].start == windows[0].keep_start == 0
    assert windows[-1].keep_stop >= length
    for one, following in pairwise(windows):
        assert one.keep_stop == following.keep_start
    for number, window in enumerate(windows):
        assert window.keep_start < window.keep_stop
        first = window.start + (margin if number else 0)
        last = window.stop - lost - (margin if number < len(windows) - 1 else 0)
        assert first <= window.keep_start < window.keep_stop <= last
    assert windows[-1].keep_start < length, "a window that decides nothing"


@given(GEOMETRIES, st.integers(1, 3000), st.integers(1, 900))
def test_windows_are_no_longer_than_the_tile_where_the_network_allows_it(geometry, length, tile):
    edge = plan_windows(length, geometry, tile)[0].stop
    smallest = geometry.fit(2 * geometry.shrink + 2 * geometry.margin + geometry.stride)
    assert edge <= max(tile, smallest)


def test_an_image_that_fits_into_the_tile_is_one_window():
    assert len(plan_windows(512, unet_geometry(4, "same"), 512)) == 1
    assert len(plan_windows(388, unet_geometry(4, "valid"), 572)) == 1
    assert len(plan_windows(389, unet_geometry(4, "valid"), 572)) == 2


def test_windows_are_as_short_as_their_number_allows():
    # 3 windows of 1024 pixels would do, too. Each repeats 112 pixels at each inner side:
    # 832 + 2 * 608 = 2048 pixels, and 816 + 2 * 592 = 2000.
    geometry = unet_geometry(4, "same")
    windows = plan_windows(2048, geometry, 1024)
    assert [(w.start, w.stop) for w in windows] == [(0, 832), (608, 1440), (1216, 2048)]
    assert [w.stop - w.start for w in plan_windows(2000, geometry, 1024)] == [816] * 3


def cropping(shrink, seen=None):
    """Return a predictor that crops its input by `shrink` pixels at each side."""

    def predict(batch):
        if seen is not None:
            seen.append(batch.shape)
        stop = -shrink or None
        return batch[:, shrink:stop, shrink:stop].astype(np.float32)

    return predict


@given(
    st.builds(unet_geometry, st.integers(1, 3), st.sampled_from(["same", "valid"])),
    st.tuples(st.integers(1, 150), st.integers(1, 150)),
    st.integers(1, 200),
)
def test_a_predictor_that_returns_its_input_gives_the_image_back(geometry, size, tile):
    image = random_pixels((*size, 2), np.uint16)
    seen = []
    result = predict_tiled(cropping(geometry.shrink, seen), image, geometry, tile)
    np.testing.assert_array_equal(result, image.astype(np.float32), strict=True)
    assert all(len(shape) == 4 and shape[0] == 1 for shape in seen)
    assert all(geometry.fits(edge) for shape in seen for edge in shape[1:3])


def mirrored_filter(radius):
    """Return a predictor that filters with a random kernel and mirrored borders."""
    kernel = np.random.default_rng(radius).random((2 * radius + 1, 2 * radius + 1))

    def predict(batch):
        filtered = [ndimage.correlate(one[:, :, 0], kernel, mode="mirror") for one in batch]
        return np.stack(filtered)[:, :, :, None].astype(np.float32)

    return predict


FILTER_CASES = (
    st.tuples(st.integers(8, 60), st.integers(8, 60)),
    st.integers(1, 7),
    st.integers(0, 1),
    st.integers(8, 40),
)


def filter_in_tiles_and_whole(size, radius, slack, step):
    image = random_pixels((*size, 1)).astype(np.float32)
    predict, margin = mirrored_filter(radius), radius + slack
    tiled = predict_tiled(predict, image, Geometry(1, 0, 0, margin), tile=2 * margin + step)
    return tiled, predict(image[None])[0]


@given(*FILTER_CASES)
def test_a_local_filter_has_no_seam_between_windows(size, radius, slack, step):
    tiled, whole = filter_in_tiles_and_whole(size, radius, slack, step)
    np.testing.assert_allclose(tiled[:-radius, :-radius], whole[:-radius, :-radius], rtol=1e-6)


@given(*FILTER_CASES)
def test_a_local_filter_gives_the_same_in_tiles_as_on_the_whole_image(size, radius, slack, step):
    tiled, whole = filter_in_tiles_and_whole(size, radius, slack, step)
    np.testing.assert_allclose(tiled, whole, rtol=1e-6)


def test_a_filter_wider_than_the_margin_changes_the_result():
    image = random_pixels((64, 64, 1)).astype(np.float32)

    def predict(batch):
        return ndimage.uniform_filter(batch, (1, 9, 9, 1), mode="mirror")

    tiled = predict_tiled(predict, image, Geometry(1, 0, 0, margin=2), tile=20)
    assert not np.allclose(tiled, predict(image[None])[0])


def unet_of_depth_1(batch, padding):
    """Box filters and a pooling in the form of a U-Net with a skip connection."""
    cut = slice(2, -2) if padding == "valid" else slice(None)

    def block(pixels):
        return ndimage.uniform_filter(pixels, (1, 5, 5, 1), mode="constant")[:, cut, cut]

    top = block(batch.astype(np.float64))
    pooled = top.reshape(len(top), top.shape[1] // 2, 2, top.shape[2] // 2, 2, -1).max((2, 4))
    raised = block(pooled).repeat(2, axis=1).repeat(2, axis=2)
    skip = top[:, 4:-4, 4:-4] if padding == "valid" else top
    return block(raised + skip).astype(np.float32)


@pytest.mark.parametrize("tile", [1, 30, 44, 63])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_unet_has_no_seam_between_windows(tile, padding):
    geometry, image = unet_geometry(1, padding), random_pixels((71, 90, 1))
    predict = partial(unet_of_depth_1, padding=padding)
    whole = predict_tiled(predict, image, geometry, tile=1000)
    tiled = predict_tiled(predict, image, geometry, tile)
    border = geometry.margin
    compared = np.s_[: 71 - border, : 90 - border]
    np.testing.assert_allclose(tiled[compared], whole[compared], rtol=1e-5)
