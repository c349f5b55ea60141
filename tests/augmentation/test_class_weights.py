import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from unetflow.augmentation.weight_map import balance_classes


def test_a_rare_class_gets_a_large_weight():
    assert balance_classes([0.9, 0.1]) == pytest.approx((1 / 1.8, 5.0))
    assert balance_classes([0.5, 0.25, 0.25]) == pytest.approx((2 / 3, 4 / 3, 4 / 3))


def test_an_absent_class_gets_the_largest_weight_of_the_others():
    assert balance_classes([0.8, 0.2, 0.0]) == pytest.approx((1 / 2.4, 1 / 0.6, 1 / 0.6))
    assert balance_classes([0.0, 0.0]) == (1.0, 1.0)


@given(counts=st.lists(st.integers(1, 50), min_size=2, max_size=5))
def test_every_class_has_the_same_share_and_a_pixel_the_weight_one(counts):
    frequencies = np.array(counts) / sum(counts)
    shares = frequencies * balance_classes(frequencies.tolist())
    np.testing.assert_allclose(shares, 1 / len(counts))


def test_scikit_learn_balances_likewise():
    labels = np.repeat([0, 1, 2], [7, 2, 11])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balance_classes((np.bincount(labels) / 20).tolist()), expected)
