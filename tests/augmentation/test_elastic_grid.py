import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tests.support.images import random_pixels
from unetflow.augmentation.transforms import ElasticGrid, interpolate_displacements

STEP = 1 / 32
"""OpenCV may round the place from which a pixel is taken to so many pixels."""


def bent(transform, seed, **targets):
    """Apply a transform, and return what came out and the maps that it drew."""
    transform.set_random_seed(seed)
    changed = transform(**targets)
    return changed, transform.params["map_y"], transform.params["map_x"]


def drawn_vectors(seed, nodes=3, standard_deviation=10.0):
    return np.random.default_rng(seed).normal(0, standard_deviation, (2, nodes, nodes))


def mirrored(place, edge):
    """Count an index beyond the border back from it, the border itself not doubled."""
    if edge == 1:
        return 0
    while not 0 <= place < edge:
        place = -place if place < 0 else 2 * (edge - 1) - place
    return place


def plain_bilinear(image, down, right):
    """Take each pixel from the four around its place, one after another."""
    height, width = image.shape[:2]
    result = np.zeros(image.shape)
    for row, column in np.ndindex(height, width):
        place = down[row, column], right[row, column]
        corner = [int(np.floor(p)) for p in place]
        for below, beside in np.ndindex(2, 2):
            share = (1 - abs(place[0] - corner[0] - below)) * (
                1 - abs(place[1] - corner[1] - beside)
            )
            source = mirrored(corner[0] + below, height), mirrored(corner[1] + beside, width)
            result[row, column] += share * image[source]
    return result


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_displacements_are_the_cubic_spline_of_a_mirrored_grid(nodes, height, width, seed):
    vectors = drawn_vectors(seed, nodes)
    places = np.meshgrid(
        np.linspace(0, nodes - 1, height), np.linspace(0, nodes - 1, width), indexing="ij"
    )
    expected = [ndimage.map_coordinates(v, places, order=3, mode="mirror") for v in vectors]
    found = interpolate_displacements(vectors, height, width)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("nodes", [2, 3, 5])
def test_displacements_at_the_nodes_are_the_drawn_vectors(nodes):
    vectors = drawn_vectors(0, nodes)
    found = interpolate_displacements(vectors, 8 * (nodes - 1) + 1, 6 * (nodes - 1) + 1)
    np.testing.assert_allclose(found[:, ::8, ::6], vectors, rtol=0, atol=1e-12)


def test_displacement_half_way_between_two_nodes_by_hand():
    # With slopes of 0 at 0 and 2 the spline through 0, 1, 0 has slope 0 at 1: half-way it is 1/2.
    vectors = np.zeros((1, 3, 3))
    vectors[0, 1] = 1
    found = interpolate_displacements(vectors, 5, 4)
    np.testing.assert_allclose(found[0], np.array([[0, 0.5, 1, 0.5, 0]] * 4).T, atol=1e-12)


def test_maps_add_the_drawn_displacement_down_and_to_the_right():
    image = np.zeros((33, 17, 1), np.float32)
    _, down, right = bent(ElasticGrid(4.0, p=1.0), 5, image=image)
    vectors = drawn_vectors(5, standard_deviation=4.0)
    rows, columns = np.mgrid[:33:16, :17:8]
    np.testing.assert_allclose(down[::16, ::8] - rows, vectors[0], atol=1e-5)
    np.testing.assert_allclose(right[::16, ::8] - columns, vectors[1], atol=1e-5)


def test_displacements_have_the_asked_deviation_and_the_axes_are_independent():
    image = np.zeros((5, 5, 1), np.float32)
    drawn = []
    for seed in range(400):
        _, down, right = bent(ElasticGrid(10.0, p=1.0), seed, image=image)
        rows, columns = np.mgrid[:5:2, :5:2]
        drawn.append([(down[::2, ::2] - rows).ravel(), (right[::2, ::2] - columns).ravel()])
    down, right = np.swapaxes(drawn, 0, 1)
    for along in (down, right):
        assert abs(along.std() - 10) < 0.5
        assert abs(along.mean()) < 0.5
    assert np.abs(np.corrcoef(down.ravel(), right.ravel())[0, 1]) < 0.1
    assert np.abs(np.corrcoef(down.T) - np.eye(9)).max() < 0.25  # one node tells nothing of another


@pytest.mark.parametrize("shape", [(13, 21), (1, 9), (9, 1), (2, 2)], ids=str)
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7])
def test_image_is_what_lies_at_its_displaced_place(shape, channels):
    rows, columns = np.indices(shape)
    image = np.stack(
        [np.sin(rows / 3 + c) + np.cos(columns / 4 - c) for c in range(channels)], axis=-1
    ).astype(np.float32)
    for seed in range(2):
        changed, down, right = bent(ElasticGrid(3.0, p=1.0), seed, image=image)
        assert (changed["image"].shape, changed["image"].dtype) == (image.shape, np.float32)
        expected = plain_bilinear(image, down, right)
        steepest = 1 / 3 + 1 / 4
        np.testing.assert_allclose(changed["image"], expected, rtol=0, atol=steepest * STEP)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mask_is_the_pixel_nearest_to_its_displaced_place(dtype):
    image, mask = np.zeros((25, 31, 1), np.float32), random_pixels((25, 31)).astype(dtype)
    compared = 0
    for seed in range(10):
        changed, down, right = bent(ElasticGrid(5.0, p=1.0), seed, image=image, mask=mask)
        assert changed["mask"].dtype == dtype
        for place in np.ndindex(mask.shape):
            source = down[place], right[place]
            if all(abs(s - np.floor(s) - 0.5) > STEP for s in source):  # else a tie, or close to it
                nearest = (mirrored(round(s), e) for s, e in zip(source, mask.shape, strict=True))
                assert changed["mask"][place] == mask[tuple(nearest)]
                compared += 1
    assert compared > 0.8 * 10 * mask.size


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 20), st.integers(1, 20), st.floats(0, 60), st.integers(2, 5), st.integers(0, 99)
)
def test_masks_never_gain_a_value_and_move_alike(height, width, deviation, nodes, seed):
    label = random_pixels((height, width), seed=seed)
    targets = {"image": label[:, :, None].astype(np.float32), "mask": label}
    transform = ElasticGrid(deviation, nodes, p=1.0)
    changed, _, _ = bent(transform, seed, **targets)
    weighted, _, _ = bent(transform, seed, image=targets["image"], mask=label.astype(np.float32))
    assert set(np.unique(changed["mask"])) <= set(np.unique(label))
    np.testing.assert_array_equal(weighted["mask"], changed["mask"].astype(np.float32), strict=True)


def test_no_deviation_changes_nothing():
    label = random_pixels((9, 12))
    image = label[:, :, None].astype(np.float32)
    changed, _, _ = bent(ElasticGrid(0.0, p=1.0), 1, image=image, mask=label)
    np.testing.assert_array_equal(changed["image"], image, strict=True)
    np.testing.assert_array_equal(changed["mask"], label, strict=True)


def test_same_seed_gives_the_same_field_and_another_seed_another():
    image = random_pixels((16, 16, 1)).astype(np.float32)
    first, again, other = (bent(ElasticGrid(p=1.0), s, image=image)[0]["image"] for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("wrong", [{"standard_deviation": -1.0}, {"nodes": 1}, {"p": 2.0}], ids=str)
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ElasticGrid(**wrong)
