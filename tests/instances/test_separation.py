import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label as connected_components
from skimage.segmentation import watershed

from unetflow.augmentation.object_targets import object_targets
from unetflow.core.types import OBJECT_OUTPUTS
from unetflow.instances.separation import Separation, seed_landscape, separate_objects

NAMES = OBJECT_OUTPUTS["both"]


def disks(*places, shape=(60, 60), radius=8):
    """Return the numbers of disks; later ones lie over earlier ones."""
    rows, columns = np.indices(shape)
    numbers = np.zeros(shape, np.uint16)
    for number, (row, column) in enumerate(places, start=1):
        numbers[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = number
    return numbers


def learned(numbers, names=NAMES):
    """Return the landscape of a network that knows the objects."""
    return seed_landscape(object_targets(numbers, names) / np.float32(255), names)


def separate(numbers, names=NAMES, min_size=0, **options):
    separation = Separation(**{"seed_threshold": 0.3, "min_distance": 5, **options})
    return separate_objects(numbers > 0, learned(numbers, names), separation, min_size)


def overlaps(numbers, found):
    """Return the IoU of each object with the found one of the same place."""
    ious = []
    for number in np.unique(numbers[numbers > 0]):
        values, counts = np.unique(found[numbers == number], return_counts=True)
        partner = found == values[counts.argmax()]
        inside = numbers == number
        ious.append((partner & inside).sum() / (partner | inside).sum())
    return ious


@pytest.mark.parametrize("names", [("boundary",), ("distance",), NAMES])
def test_disks_that_touch_are_separated(names):
    numbers = disks((15, 15), (15, 30), (30, 22), (50, 50))
    found = separate(numbers, names)
    assert found.max() == 4
    assert min(overlaps(numbers, found)) > 0.85
    assert connected_components(numbers > 0, connectivity=2).max() == 2


def test_a_hole_and_a_nested_object_are_kept():
    ring = disks((30, 30), radius=20)
    ring[disks((30, 30), radius=12) > 0] = 0
    ring[disks((30, 30), radius=6) > 0] = 2
    found = separate(ring, seed_threshold=0.5, min_distance=60)
    np.testing.assert_array_equal(found > 0, ring > 0)
    assert len(np.unique(found[ring == 2])) == 1
    assert set(np.unique(found[ring == 2])).isdisjoint(np.unique(found[ring == 1]))


def drawn(drawing):
    """Return the numbers in a drawing such as "110 / 002"."""
    return np.array([[int(n) for n in row] for row in drawing.split(" / ")])


@pytest.mark.parametrize(
    ("drawing", "distance", "expected"),
    [
        ("90", 1, "10"),  # one pixel
        ("90 / 09", 1, "10 / 02"),  # two of them that touch at a corner, with a seed each
        ("90 / 09", 2, "10 / 01"),  # too close for two seeds
        ("2521252", 1, "1111222"),  # touching: the valley goes to the seed on its left
        ("2521262", 1, "2221111"),  # the higher seed is the first, and the first to flood
        ("2521252", 5, "1111111"),
        ("2520252", 5, "1110222"),  # pieces need no seeds to stay apart
        ("999 / 909 / 999", 3, "111 / 101 / 111"),  # a ring
        ("99999 / 90009 / 90809 / 90009 / 99999", 5, "11111 / 10001 / 10201 / 10001 / 11111"),
    ],
)
def test_touching_nested_ring_shaped_and_one_pixel_objects_by_hand(drawing, distance, expected):
    """The digits are tenths of the landscape, of which less than 0.05 is no foreground."""
    heights = drawn(drawing)
    separation = Separation(seed_threshold=0.3, min_distance=distance)
    landscape = (heights / 10).astype(np.float32)
    found = separate_objects(heights > 0, landscape, separation)
    expected = drawn(expected)
    assert found.max() == expected.max()
    for number in range(1, expected.max() + 1):
        assert len(np.unique(found[expected == number])) == 1
    np.testing.assert_array_equal(found > 0, expected > 0)


def test_an_object_that_fills_the_hole_of_another_is_one_of_its_own():
    numbers = disks((30, 30), radius=20)
    numbers[disks((30, 30), radius=10) > 0] = 2
    found = separate(numbers, min_distance=4)
    inner = overlaps(numbers, found)[1]
    assert inner > 0.85
    assert connected_components(numbers > 0).max() == 1


def test_pieces_without_a_seed_and_single_pixels_stay_objects():
    mask = np.zeros((20, 20), bool)
    mask[2, 2] = mask[10:14, 10:14] = True
    found = separate_objects(
        mask, np.zeros((20, 20), np.float32), Separation(seed_threshold=0.5, min_distance=3)
    )
    np.testing.assert_array_equal(found, connected_components(mask, connectivity=2))
    nothing = separate_objects(
        np.zeros((5, 5), bool),
        np.ones((5, 5), np.float32),
        Separation(seed_threshold=0, min_distance=1),
        9,
    )
    assert not nothing.any()


def test_parts_that_are_too_small_join_their_neighbours_and_never_vanish():
    numbers = disks((15, 15), (15, 27), radius=8)
    smallest = int(np.bincount(numbers.ravel())[1:].min())
    for min_size, count in [(smallest // 2, 2), (10**4, 1)]:
        found = separate(numbers, min_size=min_size)
        assert found.max() == count
        np.testing.assert_array_equal(found > 0, numbers > 0)


@given(st.integers(0, 2**32), st.integers(1, 6), st.floats(0, 1), st.integers(0, 40))
def test_it_is_the_watershed_of_scikit_image_from_maxima_that_keep_their_distance(
    seed, distance, threshold, min_size
):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 24, 2))
    mask = random.random(shape) < random.random()
    landscape = random.random(shape, np.float32)
    separation = Separation(seed_threshold=threshold, min_distance=distance)
    found = separate_objects(mask, landscape, separation)
    hills = ndimage.gaussian_filter(np.where(mask, landscape, 0), distance / 4)
    pieces = connected_components(mask, connectivity=2)
    markers, places = np.zeros(shape, int), []
    order = sorted(np.ndindex(shape), key=lambda place: (-hills[place], place))
    for row, column in order:  # slowly: a pixel that no pixel in its window exceeds
        window = hills[
            max(row - distance + 1, 0) : row + distance,
            max(column - distance + 1, 0) : column + distance,
        ]
        near = any(max(abs(row - r), abs(column - c)) < distance for r, c in places)
        high = hills[row, column] >= max(window.max(), np.float32(threshold))
        if mask[row, column] and high and not near:
            places.append((row, column))
            markers[row, column] = len(places)
    for piece in range(1, pieces.max() + 1):
        if not markers[pieces == piece].any():
            markers[pieces == piece] = markers.max() + 1
    expected = watershed(-hills, markers, np.ones((3, 3)), mask=mask)
    np.testing.assert_array_equal(found, expected)
    merged = separate_objects(mask, landscape, separation, min_size)
    np.testing.assert_array_equal(merged > 0, mask)
    areas, whole = np.bincount(merged.ravel())[1:], np.bincount(pieces.ravel())[1:]
    assert areas[areas > 0].min(initial=min_size) >= min(min_size, whole.min(initial=min_size))
