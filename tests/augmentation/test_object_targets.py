import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.segmentation import find_boundaries

from tests.support.images import store_samples
from unetflow.augmentation.batches import CropSampler
from unetflow.augmentation.object_targets import (
    ObjectTargetFolder,
    inner_distances,
    object_boundaries,
    object_targets,
    update_object_targets,
)
from unetflow.augmentation.policy import Augmenter
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import INSTANCES, Sample
from unetflow.io.tiff_writer import write_tiff

TWO_THAT_TOUCH = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 2, 2, 2],
        [0, 1, 1, 1, 2, 2, 2],
        [0, 1, 1, 1, 2, 2, 2],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    np.uint16,
)


def numbered(seed, shape, count):
    """Return rectangles that may touch, overlap, hold holes, and lie at the border."""
    random = np.random.default_rng(seed)
    numbers = np.zeros(shape, np.uint16)
    for number in range(1, count + 1):
        top, left = (random.integers(0, length) for length in shape)
        height, width = random.integers(1, 9, 2)
        numbers[top : top + height, left : left + width] = number
        if random.random() < 0.3:
            numbers[top + 2 : top + 4, left + 2 : left + 4] = 0
    return numbers


def slow_distances(numbers):
    """Return the inner distances from their definition, pixel by pixel."""
    distances = np.zeros(numbers.shape)
    for number in np.unique(numbers[numbers > 0]):
        inside, outside = np.argwhere(numbers == number), np.argwhere(numbers != number)
        if not len(outside):
            return np.ones(numbers.shape)
        nearest = [np.sqrt(((outside - pixel) ** 2).sum(axis=1)).min() for pixel in inside]
        distances[tuple(inside.T)] = np.array(nearest) / max(nearest)
    return distances


def test_the_boundary_of_touching_objects_is_that_to_the_background_and_to_each_other():
    expected = np.zeros((5, 7), bool)
    expected[1:4, 1:7] = True
    expected[2, 2] = expected[2, 5] = expected[2, 6] = False
    np.testing.assert_array_equal(object_boundaries(TWO_THAT_TOUCH), expected)


def test_the_distance_is_1_in_the_middle_and_ignores_the_border_of_the_image():
    found = inner_distances(TWO_THAT_TOUCH)
    np.testing.assert_allclose(found[2, :4], [0, 0.5, 1, 0.5])
    np.testing.assert_allclose(found[2, 4:], [0.5, 1, 1])
    assert inner_distances(np.ones((4, 4), np.uint8)).min() == 1
    assert inner_distances(np.zeros((4, 4), np.uint8)).max() == 0


@given(st.integers(0, 2**32), st.tuples(st.integers(1, 14), st.integers(1, 14)), st.integers(0, 9))
def test_targets_are_those_of_their_definitions(seed, shape, count):
    numbers = numbered(seed, shape, count)
    np.testing.assert_allclose(inner_distances(numbers), slow_distances(numbers), atol=1e-6)
    expected = find_boundaries(numbers, connectivity=2, mode="inner")
    np.testing.assert_array_equal(object_boundaries(numbers), expected & (numbers > 0))
    both = object_targets(numbers)
    assert both.dtype == np.uint8
    np.testing.assert_array_equal(both[:, :, 0] == 255, object_boundaries(numbers))
    np.testing.assert_allclose(both[:, :, 1] / 255, inner_distances(numbers), atol=1 / 509)


def write_stored(folder, with_numbers):
    label = np.minimum(TWO_THAT_TOUCH, 1).astype(np.uint8)
    label[0, 0] = 255
    image = np.zeros((*label.shape, 1), np.uint8)
    stored = store_samples(folder, {"a": Sample(image, label)})[1]
    if with_numbers:
        write_tiff(stored.folder / "a" / INSTANCES, TWO_THAT_TOUCH, "zlib")
    return stored


@pytest.mark.parametrize("with_numbers", [True, False])
def test_targets_follow_the_numbers_of_a_sample_or_else_its_pieces(tmp_path, with_numbers):
    stored = write_stored(tmp_path / "samples", with_numbers)
    numbers = TWO_THAT_TOUCH if with_numbers else np.minimum(TWO_THAT_TOUCH, 1)
    targets = ObjectTargetFolder(tmp_path / "targets", ["a"])
    assert update_object_targets(targets, stored, ["distance"]) == 1
    np.testing.assert_array_equal(targets["a"], object_targets(numbers, ["distance"]))
    assert update_object_targets(targets, stored, ["distance"]) == 0
    assert update_object_targets(targets, stored, ["boundary", "distance"]) == 1


def test_a_crop_carries_label_weight_and_targets(tmp_path):
    stored = write_stored(tmp_path / "samples", True)
    targets = {"a": object_targets(TWO_THAT_TOUCH)}

    class Settings:
        crop_size, foreground_fraction = 5, 0.0

    for weights in ({}, {"a": np.full((5, 7), 2, np.float32)}):
        sampler = CropSampler(
            stored.with_maps(weights, targets),
            IntensityRange([0.0], [1.0]),
            Augmenter([]),
            Settings,
            seed=1,
        )
        _, truth = sampler.make_crop(0, "a", 0)
        assert truth.shape == (5, 5, 4)
        assert truth.dtype == np.float32
        places = [
            left
            for left in range(3)
            if np.array_equal(truth[:, :, 0], stored["a"].label[:, left : left + 5])
        ]
        assert any(
            np.allclose(truth[:, :, 2:] * 255, targets["a"][:, left : left + 5]) for left in places
        )
        assert np.all(truth[:, :, 1] == (2 if weights else 1))
