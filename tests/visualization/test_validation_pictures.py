import numpy as np
import pytest

from unetflow.data.samples import Sample
from unetflow.visualization.overlays import (
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    VALIDATION_EDGE,
    draw_validation,
    paint_classes,
)


def _is(picture, colour):
    return (picture == colour).all(axis=2)


def test_truth_is_outlined_on_the_left_and_the_prediction_on_the_right():
    truth, found = np.zeros((2, 12, 10), np.uint8)
    truth[2:5, 2:5] = 1
    found[6:9, 4:7] = 1
    image = np.random.default_rng(0).integers(0, 4000, (12, 10, 1), np.uint16)
    picture = draw_validation(Sample(image, truth), found, 2)
    assert picture.shape == (12, 10 + 4 + 10, 3)
    left, gap, right = np.split(picture, [10, 14], axis=1)
    assert (gap == 255).all()
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    for part, label, colour in ((left, truth, TRUTH_COLOUR), (right, found, PREDICTION_COLOUR)):
        expected = np.zeros((12, 10), bool)
        expected[label == 1] = ring.ravel()
        np.testing.assert_array_equal(_is(part, colour), expected)


@pytest.mark.parametrize("shape", [(600, 300), (1, 5000)])
def test_large_images_become_small_and_keep_their_shape(shape):
    label = np.zeros(shape, np.uint8)
    picture = draw_validation(Sample(np.zeros((*shape, 3), np.uint8), label), label, 2)
    height, width = picture.shape[0], (picture.shape[1] - 4) // 2
    assert max(height, width) == VALIDATION_EDGE
    assert (height, width) == tuple(
        max(1, round(edge * VALIDATION_EDGE / max(shape))) for edge in shape
    )


def test_many_classes_are_tinted():
    label = np.array([[0, 1, 2, 3]], np.uint8)
    sample = Sample(np.zeros((1, 4, 1), np.uint8), label)
    picture = draw_validation(sample, label, 4)
    np.testing.assert_array_equal(picture[:, :4], paint_classes(label) // 2)
