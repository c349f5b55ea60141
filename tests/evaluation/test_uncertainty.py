import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.images import random_pixels
from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.core.symmetries import MAX_VIEWS, apply_symmetry, invert_symmetry
from unetflow.data.samples import Sample
from unetflow.evaluation.review import (
    assess_image,
    check_expectation,
    expect_error,
    rank_for_review,
)
from unetflow.inference.tta import average_views, predict_views
from unetflow.tiling.windows import predict_tiled


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, MAX_VIEWS - 1))
def test_every_view_is_undone_exactly(height, width, view):
    image = np.arange(height * width * 2).reshape(height, width, 2)
    seen = apply_symmetry(image, view)
    assert seen.shape[:2] == ((height, width) if view < 4 else (width, height))
    np.testing.assert_array_equal(invert_symmetry(seen, view), image)


def test_the_views_are_the_eight_symmetries_of_a_square():
    image = np.arange(9).reshape(3, 3)
    assert len({apply_symmetry(image, view).tobytes() for view in range(MAX_VIEWS)}) == 8
    np.testing.assert_array_equal(apply_symmetry(image, 0), image)


def blur(image):
    """Average each pixel with its four neighbours, which no symmetry changes."""
    padded = np.pad(image[:, :, 0].astype(np.float64) / 255, 1, mode="edge")
    sides = padded[:-2, 1:-1] + padded[2:, 1:-1], padded[1:-1, :-2] + padded[1:-1, 2:]
    return ((padded[1:-1, 1:-1] + (sides[0] + sides[1])) / 5).astype(np.float32)[:, :, np.newaxis]


@pytest.mark.parametrize("views", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [(7, 5, 1), (1, 4, 1), (8, 8, 1)])
def test_invariant_predictor_has_no_uncertainty(views, shape):
    image = random_pixels(shape)
    seen = predict_views(blur, image, views)
    assert seen.spread.shape == shape[:2]
    assert not seen.spread.any()
    np.testing.assert_array_equal(seen.mean, seen.plain)


@pytest.mark.parametrize("views", [2, 3, 4, 8])
def test_mean_and_spread_are_those_of_all_views(views):
    image = random_pixels((5, 7, 1))

    def predict(image):
        slope = np.linspace(0.2, 0.8, image.shape[0])[:, np.newaxis, np.newaxis]
        both = slope * image / 255
        return np.concatenate([1 - both, both], axis=2).astype(np.float32)

    seen = predict_views(predict, image, views)
    stack = np.stack(
        [invert_symmetry(predict(apply_symmetry(image, view)), view) for view in range(views)]
    )
    np.testing.assert_allclose(seen.mean, stack.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(seen.spread, stack.std(axis=0).max(axis=2), atol=1e-6)
    assert seen.spread.max() > 0.05


def slanted(batch):
    """Blur in one direction alone, so that no two views agree."""
    padded = np.pad(batch[..., 0].astype(np.float64), ((0, 0), (1, 1), (2, 0)))
    summed = padded[:, :-2, 2:] + 2 * padded[:, 1:-1, 1:-1] + 3 * padded[:, 2:, :-2]
    return (summed / 1530).astype(np.float32)[..., np.newaxis]


@pytest.mark.parametrize("views", [1, 2, 5, 8])
def test_the_average_over_views_is_that_of_each_window(views):
    windows = random_pixels((3, 6, 8, 1))
    found = average_views(slanted, views)(windows)
    for window, one in zip(windows, found, strict=True):
        turned = (apply_symmetry(window, view)[np.newaxis] for view in range(views))
        stack = [invert_symmetry(slanted(t)[0], view) for view, t in enumerate(turned)]
        np.testing.assert_allclose(one, np.mean(stack, axis=0), atol=1e-6)
    assert views == 1 or np.abs(found - slanted(windows)).max() > 0.05


@given(st.tuples(st.integers(1, 60), st.integers(1, 60)), st.integers(1, 30))
def test_the_average_over_views_is_the_same_in_tiles_as_in_the_whole(size, tile):
    image, geometry = random_pixels((*size, 1)), Geometry(4, 0, 0, 4)
    predict = average_views(slanted, MAX_VIEWS)
    tiled = predict_tiled(predict, image, geometry, tile)
    np.testing.assert_allclose(tiled, predict_tiled(predict, image, geometry, 1000), atol=1e-6)


@pytest.mark.parametrize("views", [0, 9])
def test_more_views_than_there_are_are_refused(views):
    with pytest.raises(InputError, match=f"there are no {views} views"):
        average_views(slanted, views)


def test_expected_error_by_hand():
    belief = np.array([[[0.9], [0.8], [0.3], [0.7]]], np.float32)
    found, inside = np.array([[1, 1, 0, 1]], np.uint8), np.array([[True, True, True, False]])
    expected = 1 - (2 * 1.7 + 1) / (2.0 + 2 + 1)
    assert expect_error(belief, found, inside) == pytest.approx(expected)
    both = np.concatenate([1 - belief, belief], axis=2)
    assert expect_error(both, found, inside) == pytest.approx(expected)


def test_expected_error_of_many_classes_is_the_mean_over_those_found():
    belief = np.array([[[0.2, 0.7, 0.1, 0.0], [0.5, 0.1, 0.4, 0.0]]], np.float32)
    found, inside = np.array([[1, 0]], np.uint8), np.ones((1, 2), bool)
    assert expect_error(belief, found, inside) == pytest.approx(1 - 2.4 / 2.8)


def test_certain_masks_and_empty_images_have_no_expected_error():
    sure = np.array([[[1.0], [0.0]]], np.float32)
    inside = np.ones((1, 2), bool)
    assert expect_error(sure, np.array([[1, 0]], np.uint8), inside) == 0
    assert expect_error(sure * 0, np.array([[0, 0]], np.uint8), inside) == 0
    assert expect_error(sure * 0, np.array([[1, 1]], np.uint8), inside) > 0.6


def test_uncertain_images_come_first_and_their_order_is_measured():
    random = np.random.default_rng(0)
    rows, dice = [], {}
    for number, doubt in enumerate((0.05, 0.45, 0.2, 0.35)):
        label = (random.random((20, 20)) < 0.5).astype(np.uint8)
        wrong = random.random(label.shape) < doubt
        stated = np.where(label ^ wrong, 1 - doubt, doubt)[:, :, np.newaxis].astype(np.float32)
        numbers, spread = assess_image(
            lambda image, stated=stated: stated,
            lambda found: (found[:, :, 0] >= 0.5).astype(np.uint8),
            Sample(np.zeros((20, 20, 1), np.uint8), label),
            views=1,
        )
        assert not spread.any()
        rows.append({"id": str(number), **numbers})
        dice[str(number)] = 1 - doubt
    table = rank_for_review(pd.DataFrame(rows), dice)
    assert table["id"].tolist() == ["1", "3", "2", "0"]
    assert table["error"].tolist() == pytest.approx([0.45, 0.35, 0.2, 0.05])
    assert table["expected_error"].tolist() == pytest.approx(table["error"].tolist(), abs=0.05)
    checked = check_expectation(table, 1)
    assert checked["spearman"] == pytest.approx(1)
    assert json.loads(json.dumps(checked)) == checked


def test_two_images_or_equal_ones_have_no_rank_correlation():
    table = pd.DataFrame({"expected_error": [0.1, 0.2, 0.3], "error": [0.1, 0.1, 0.1]})
    assert check_expectation(table, 4)["spearman"] is None
    assert check_expectation(table.head(2), 4)["spearman"] is None


def test_empty_images_have_no_error_and_do_not_count_in_the_correlation():
    expected = pd.DataFrame({"id": list("abcd"), "expected_error": [0.1, 0.2, 0.3, 0.4]})
    table = rank_for_review(expected, {"a": 0.9, "b": 0.8, "c": 0.7, "d": np.nan})
    assert table["id"].tolist() == list("dcba")
    assert np.isnan(table["error"][0])
    assert check_expectation(table, 4)["spearman"] == pytest.approx(1)


def test_ignored_pixels_change_neither_number():
    label = np.array([[0, 1, 255, 255]], np.uint8)
    numbers = []
    for ignored in (0.5, 1.0):
        stated = np.array([[[0.1], [0.8], [ignored], [ignored]]], np.float32)
        sample = Sample(np.zeros((1, 4, 1), np.uint8), label)
        found, _ = assess_image(
            lambda image, stated=stated: stated,
            lambda p: (p[:, :, 0] >= 0.5).astype(np.uint8),
            sample,
            1,
        )
        numbers.append(found)
    assert numbers[0] == numbers[1]
