import numpy as np
import pytest

from unetflow.visualization.object_numbers import draw_object_numbers

SHAPE = (60, 80)


def draw(numbers, brightness=0):
    return draw_object_numbers(np.full((*numbers.shape, 3), brightness, np.uint8), numbers)


def changed(numbers, brightness=0):
    return np.any(draw(numbers, brightness) != brightness, axis=2)


def block(top, left, height, width, number=1, shape=SHAPE):
    numbers = np.zeros(shape, np.uint32)
    numbers[top : top + height, left : left + width] = number
    return numbers


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_without_objects_the_picture_stays_as_it_is():
    numbers = np.zeros(SHAPE, np.uint32)
    assert not changed(numbers, 90).any()


@pytest.mark.parametrize("number", [1, 8, 188, 65_536])
def test_a_number_stands_in_the_middle_of_its_object(number):
    top, bottom, left, right = box_of(changed(block(20, 10, 21, 61, number)))
    assert abs((top + bottom) / 2 - 30) <= 1.5
    assert abs((left + right) / 2 - 40) <= 2


def test_a_number_stands_beside_an_object_that_it_would_hide():
    numbers = block(30, 40, 4, 5, 17)
    marked = changed(numbers)
    assert not marked[numbers > 0].any()
    top, bottom, left, _ = box_of(marked)
    assert 45 <= left <= 47
    assert abs((top + bottom) / 2 - 31.5) <= 1.5


def test_an_object_without_a_pixel_at_its_centroid_has_its_number_on_itself():
    ring = block(5, 5, 50, 50)
    ring[15:45, 15:45] = 0
    top, bottom, left, right = box_of(changed(ring))
    assert ring[round((top + bottom) / 2), round((left + right) / 2)] == 1


@pytest.mark.parametrize("place", [(0, 0), (0, 79), (59, 0), (59, 79)])
def test_a_number_stays_inside_the_picture(place):
    corner = changed(block(*place, 1, 1, 123_456))
    middle = changed(block(30, 40, 1, 1, 123_456))
    assert corner.sum() == pytest.approx(middle.sum(), abs=8)


@pytest.mark.parametrize("shape", [(1, 1), (3, 60), (60, 3)])
def test_a_picture_that_is_smaller_than_a_number_keeps_its_size(shape):
    assert draw(np.full(shape, 88, np.uint32)).shape == (*shape, 3)


@pytest.mark.parametrize("brightness", [0, 128, 255])
def test_digits_contrast_with_dark_and_bright(brightness):
    drawn = draw(block(10, 10, 40, 60, 88), brightness)
    assert drawn.min() == 0
    assert drawn.max() == 255


def test_numbers_are_larger_in_larger_objects_within_limits():
    heights = []
    for edge in (8, 20, 40, 300):
        mask = changed(block(50, 50, edge, edge, shape=(400, 400)))
        top, bottom, _, _ = box_of(mask)
        heights.append(bottom - top)
    assert heights == sorted(heights)
    assert 5 <= heights[0] < heights[2] < heights[3] <= 28


def test_the_picture_that_is_given_is_not_changed():
    picture = np.zeros((*SHAPE, 3), np.uint8)
    draw_object_numbers(picture, block(20, 30, 21, 21))
    assert not picture.any()
