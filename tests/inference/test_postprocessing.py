import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from scipy.special import expit, logit
from skimage.measure import label as connected_components

from unetflow.inference.postprocessing import (
    Postprocessing,
    apply_temperature,
    remove_small_objects,
)


def remove_one_by_one(label, min_size):
    kept = label.copy()
    objects = connected_components(label == 1, connectivity=2)
    for number in range(1, objects.max() + 1):
        if (objects == number).sum() < min_size:
            kept[objects == number] = 0
    return kept


@given(hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1])), st.integers(0, 6))
def test_small_objects_are_removed_as_if_one_by_one(label, min_size):
    found = remove_small_objects(label, min_size)
    np.testing.assert_array_equal(found, remove_one_by_one(label, min_size), strict=True)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7])
def test_a_pixel_at_the_threshold_is_foreground(threshold):
    at = np.float32(threshold)
    below = np.nextafter(at, np.float32(0))
    found = Postprocessing(threshold=threshold).apply(np.array([[[at], [below]]], np.float32))
    np.testing.assert_array_equal(found, np.array([[1, 0]], np.uint8), strict=True)


def test_without_a_threshold_the_most_probable_class_is_taken():
    probabilities = np.array([[[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]]], np.float32)
    found = Postprocessing(threshold=None).apply(probabilities)
    np.testing.assert_array_equal(found, np.array([[1, 0, 2]], np.uint8), strict=True)


def test_the_threshold_applies_to_the_second_of_two_probabilities():
    both = np.array([[[0.3, 0.7], [0.8, 0.2]]], np.float32)
    np.testing.assert_array_equal(Postprocessing(threshold=0.7).apply(both), [[1, 0]])
    np.testing.assert_array_equal(Postprocessing(threshold=0.71).apply(both), [[0, 0]])


@pytest.mark.parametrize(("outputs", "threshold"), [(1, 0.5), (2, 0.5), (3, None)])
def test_an_untuned_network_of_two_classes_has_a_threshold_of_one_half(outputs, threshold):
    assert Postprocessing.untuned(outputs) == Postprocessing(threshold=threshold)


def test_small_objects_stay_only_where_classes_are_chosen():
    probabilities = np.array([[[0.9], [0.1], [0.8], [0.8]]], np.float32)
    postprocessing = Postprocessing(threshold=0.5, min_object_size=2)
    assert postprocessing.classify(probabilities).tolist() == [[1, 0, 1, 1]]
    assert postprocessing.apply(probabilities).tolist() == [[0, 0, 1, 1]]


def test_the_network_threshold_selects_the_same_pixels_before_the_temperature():
    postprocessing = Postprocessing(threshold=0.4, temperature=2.5)
    assert logit(postprocessing.network_threshold) == pytest.approx(2.5 * logit(0.4))
    assert Postprocessing(threshold=0.4).network_threshold == 0.4
    assert Postprocessing(threshold=None, temperature=2).network_threshold is None


def test_calibration_divides_the_logits():
    probabilities = np.float32([[[0.2], [0.9]]])
    calibrated = Postprocessing(threshold=0.5, temperature=2).calibrate(probabilities)
    np.testing.assert_allclose(calibrated, expit(logit(probabilities) / 2), rtol=1e-6)
    np.testing.assert_array_equal(calibrated, apply_temperature(probabilities, 2))


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0}, {"min_object_size": -1}, {"minimum_object_size": 3}]
)
def test_values_out_of_range_and_unknown_names_are_refused(wrong):
    with pytest.raises(ValidationError):
        Postprocessing(threshold=0.5, **wrong)
