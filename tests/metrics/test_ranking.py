import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from unetflow.metrics.ranking import _TIED, BINS, RankingCounts, probability_bins

NEAR_ONE = st.floats(0, 1, width=32) | st.floats(0.99993896484375, 1, width=32)
PROBABILITIES = hnp.arrays(
    np.float32, (4, 5), elements=NEAR_ONE | st.sampled_from([0.0, 1e-30, 0.5, 0.999, 1.0])
)
TRUTHS = hnp.arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 255]))


def check(counts, index, truth, probability):
    scores = counts.scores(index)
    for name, exact in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score)):
        difference = abs(scores[name].value - exact(truth, probability))
        assert difference <= scores[name].error + 1e-12
        assert 0 <= scores[name].value <= 1 + 1e-12


@given(st.lists(st.tuples(TRUTHS, PROBABILITIES), min_size=1, max_size=3))
def test_scores_agree_with_scikit_learn_within_their_error(pairs):
    counts = RankingCounts(2)
    for truth, probability in pairs:
        counts.add(truth, probability[:, :, None])
    truth = np.concatenate([truth.ravel() for truth, _ in pairs])
    probability = np.concatenate([probability.ravel() for _, probability in pairs])
    counted = truth != 255
    if len(np.unique(truth[counted])) < 2:
        assert counts.scores(1) == {}
    else:
        check(counts, 1, truth[counted], probability[counted])


@pytest.mark.parametrize("sharpness", [1, 8, 40])
def test_error_is_small_for_confident_networks(sharpness):
    random = np.random.default_rng(5)
    truth = (random.random((400, 500)) < 0.1).astype(np.uint8)
    logits = sharpness * (truth - 0.5 + random.normal(0, 0.4, truth.shape))
    probability = (1 / (1 + np.exp(-logits))).astype(np.float32)
    counts = RankingCounts(2)
    counts.add(truth, probability[:, :, None])
    check(counts, 1, truth.ravel(), probability.ravel())
    scores = counts.scores(1)
    assert scores["roc_auc"].error < 2e-3
    assert scores["average_precision"].error < 5e-3


def test_each_class_is_ranked_against_all_others():
    random = np.random.default_rng(2)
    truth = random.choice([0, 1, 2, 255], (30, 40)).astype(np.uint8)
    probabilities = random.dirichlet([1, 1, 1, 1], truth.shape).astype(np.float32)
    counts = RankingCounts(4)
    counts.add(truth, probabilities)
    counted = truth != 255
    for index in (1, 2):
        check(counts, index, truth[counted] == index, probabilities[counted][:, index])
    assert counts.scores(3) == {}


@given(hnp.arrays(np.float32, 50, elements=NEAR_ONE))
def test_bins_rise_with_the_probability(probabilities):
    ordered = np.sort(probabilities)
    bins = probability_bins(ordered)
    assert (np.diff(bins) >= 0).all()
    assert bins.min() >= 0
    assert bins.max() < BINS
    for number in np.unique(bins):
        inside = ordered[bins == number].astype(float)
        rarer = np.minimum(inside, 1 - inside)
        assert number < _TIED or np.ptp(inside) == 0
        assert np.ptp(inside) <= max(rarer.max() / 256, 2.0**-32)
