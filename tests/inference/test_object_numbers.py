"""Objects that are numbered region by region, held against those of the whole image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.signal import fftconvolve
from skimage.measure import label as connected_components
from skimage.measure import regionprops

from unetflow.config.mask_export import ObjectParameters
from unetflow.inference.blockwise.object_numbers import number_regions
from unetflow.inference.postprocessing import Postprocessing
from unetflow.instances.separation import Separation


def by_regions(postprocessing, label, landscape=None, **options):
    """Return what regions give: the numbers, and classes and boxes."""
    numbers = np.full(label.shape, 99, np.uint32)
    rule = postprocessing.part_rule(landscape is not None)
    found = number_regions(rule, label, landscape, numbers, **options)
    return numbers, found


def assert_is_whole(postprocessing, label, landscape=None, **options):
    numbers, found = by_regions(postprocessing, label, landscape, **options)
    whole = postprocessing.separate(label, landscape)
    np.testing.assert_array_equal(numbers, whole.numbers)
    np.testing.assert_array_equal(found.classes, whole.classes, strict=True)
    boxes = [region.bbox for region in regionprops(whole.numbers)]
    np.testing.assert_array_equal(found.boxes, np.array(boxes).reshape(-1, 4))
    return whole


def rule(method="auto", separation=None, min_size=0, **options):
    return Postprocessing(
        threshold=0.5,
        min_object_size=min_size,
        separation=separation,
        objects=ObjectParameters(method=method, **options),
    )


def blobs(random, shape, sigma, share, longest):
    """Return a mask of blobs of which none is longer than an edge."""
    noise = ndimage.gaussian_filter(random.random(shape), sigma)
    mask = noise > np.quantile(noise, 1 - share)
    for region in regionprops(connected_components(mask, connectivity=2)):
        if max(region.image.shape) > longest:
            mask[region.slice] &= ~region.image
    return mask


@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.integers(1, 12),
    st.sampled_from([0.2, 0.4, 0.6, 0.8]),
    st.sampled_from(["edges", "corners"]),
    st.integers(1, 3),
    st.integers(0, 2**32),
)
def test_connected_components_are_always_those_of_the_whole_image(
    size, edge, share, connectivity, classes, seed
):
    random = np.random.default_rng(seed)
    label = ((random.random(size) < share) * random.integers(1, classes + 1, size)).astype(np.uint8)
    assert_is_whole(rule("components", connectivity=connectivity), label, edge=edge)


@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.integers(9, 40),
    st.integers(1, 6),
    st.floats(0, 0.9),
    st.sampled_from([0.0, 0.02, 0.2]),
    st.sampled_from([0, 5, 40]),
    st.booleans(),
)
def test_the_learned_watershed_is_that_of_the_whole_image_where_pieces_fit_into_the_halo(
    seed, edge, distance, threshold, prominence, min_size, two_classes
):
    random = np.random.default_rng(seed)
    label = blobs(random, (70, 83), 2, 0.45, 30).astype(np.uint8)
    if two_classes:
        label[:, 40:] *= 2
    landscape = ndimage.gaussian_filter(random.random(label.shape), 1).astype(np.float32)
    landscape = (landscape - landscape.min()) / np.ptp(landscape)
    separation = Separation(seed_threshold=threshold, min_distance=distance, prominence=prominence)
    tuned = rule(separation=separation, min_size=min_size)
    whole = assert_is_whole(tuned, label, landscape, edge=edge, halo=30)
    if label.any():
        assert whole.numbers.max() >= connected_components(label, connectivity=2).max()


@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.integers(9, 40),
    st.integers(1, 6),
    st.floats(0.5, 4),
    st.sampled_from(["edges", "corners"]),
    st.booleans(),
)
def test_the_watershed_by_distance_is_that_of_the_whole_image_but_for_equal_distances(
    seed, edge, distance, height, connectivity, are_equal
):
    label = blobs(np.random.default_rng(seed), (70, 83), 2, 0.45, 30).astype(np.uint8)
    options = {"min_distance": distance, "min_height": height, "connectivity": connectivity}
    chosen = rule("watershed", **options)
    if are_equal:  # where floods of equally high seeds meet, a heap decides by all of its entries
        numbers, found = by_regions(chosen, label, edge=edge, halo=30)
        np.testing.assert_array_equal(found.classes, chosen.separate(label).classes)
        np.testing.assert_array_equal(numbers > 0, label > 0)
        return
    exact = ndimage.distance_transform_edt
    # No two pixels of a piece see the same surroundings.
    weights = np.random.default_rng(0).random((41, 41)) / 41**2 / 100

    def without_equal_ones(mask):
        return exact(mask) + fftconvolve(np.pad(mask, 20), weights, "valid").round(12)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ndimage, "distance_transform_edt", without_equal_ones)
        assert_is_whole(chosen, label, edge=edge, halo=50)


def disks(shape, step, radius):
    """Return the numbers of disks on a grid, which touch where the radius is half of a step."""
    rows, columns = np.indices(shape)
    centre = [step * (places // step) + step // 2 for places in (rows, columns)]
    inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2
    across = -(-shape[1] // step)
    return np.where(inside, rows // step * across + columns // step + 1, 0)


@pytest.mark.parametrize("min_size", [0, 30])
def test_a_piece_of_many_touching_objects_larger_than_the_halo_is_separated_as_a_whole(min_size):
    numbers = disks((150, 190), 18, 9)
    label = (numbers > 0).astype(np.uint8)
    assert connected_components(label, connectivity=2).max() < 5
    landscape = np.zeros(label.shape, np.float32)
    for box in ndimage.find_objects(numbers):
        landscape[box] += ndimage.distance_transform_edt(np.pad(label[box], 1))[1:-1, 1:-1] / 12
    noise = np.random.default_rng(0).random(label.shape, np.float32)
    seeds = Separation(seed_threshold=0.4, min_distance=6, prominence=0.05)
    tuned = rule(separation=seeds, min_size=min_size)
    assert_is_whole(tuned, label, landscape + noise / 1000, edge=40, halo=30)


@pytest.mark.parametrize("halo", [2, 7])
def test_what_no_seed_reaches_within_the_halo_joins_what_it_touches(halo):
    label = np.zeros((60, 90), np.uint8)
    label[20, 3:88] = label[20:55, 87] = 1  # long, with one seed at its start
    label[40:42, 5:70] = 1  # long, without a seed
    landscape = np.zeros(label.shape, np.float32)
    landscape[20, 4] = 1
    tuned = rule(separation=Separation(seed_threshold=0.1, min_distance=2))
    assert_is_whole(tuned, label, landscape, edge=13, halo=halo)


def test_a_part_without_a_seed_joins_the_object_along_whose_pixels_it_is_longest():
    label = np.zeros((12, 40), np.uint8)
    label[:, 5:35] = 1
    landscape = np.zeros(label.shape, np.float32)
    landscape[1, 6] = landscape[9, 6] = 1  # the second one's flood is wider
    tuned = rule(separation=Separation(seed_threshold=0.1, min_distance=2))
    numbers, found = by_regions(tuned, label, landscape, edge=10, halo=1)
    assert len(found.classes) == 2
    np.testing.assert_array_equal(numbers > 0, label > 0)


def test_small_parts_across_a_border_join_their_neighbours():
    label = np.zeros((30, 60), np.uint8)
    label[5:25, 5:55] = 1
    landscape = np.full(label.shape, 0.1, np.float32)
    landscape[15, 12] = landscape[15, 48] = 1
    landscape[14:17, 29:32] = 0.6  # a hill of its own on the border, around which it is low
    landscape[12:19, 27] = landscape[12:19, 33] = landscape[12, 27:34] = landscape[18, 27:34] = 0
    separation = Separation(seed_threshold=0.3, min_distance=2)
    counts = [
        len(
            assert_is_whole(
                rule(separation=separation, min_size=least), label, landscape, edge=30, halo=50
            ).classes
        )
        for least in (0, 900)
    ]
    assert counts[0] > counts[1] == 1


def test_an_image_without_objects_has_none():
    numbers, found = by_regions(rule("components"), np.zeros((9, 20), np.uint8), edge=4)
    assert not numbers.any()
    assert found.boxes.shape == (0, 4)
    assert found.classes.shape == (0,)
