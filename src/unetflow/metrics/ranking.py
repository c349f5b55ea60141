"""Metrics of ranking: probabilities of all pixels of all images, without a threshold."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label, Probabilities
from unetflow.metrics.shared import define

_EMPTY = "left out when no counted pixel has the class, or all have"
_BINS = (
    "Probabilities are told apart to 1/256 of themselves or of their complement, whichever is "
    "smaller; `error` bounds what this changes"
)

DEFINITIONS = define(
    "pixels with label 255 are not counted",
    {
        "roc_auc": (
            "chance that a pixel of the class has a higher probability of it than another pixel, "
            f"ties counting half: the area under the ROC curve. {_BINS}",
            _EMPTY,
        ),
        "average_precision": (
            "sum of (R_n - R_n-1) P_n over falling thresholds, with precision P_n and recall R_n "
            f"at each, without interpolation. {_BINS}",
            _EMPTY,
        ),
    },
)

_SHIFT = 23 - 8  # of the 23 bits of a float32's fraction, 8 are kept
_LEAST = int(np.float32(2.0**-32).view(np.uint32)) >> _SHIFT
_HALF = (int(np.float32(0.5).view(np.uint32)) >> _SHIFT) - _LEAST
BINS = 2 * _HALF + 1
# Above 1 - 2^-15 a bin is as wide as float32 numbers lie apart, so that its pixels are really tied.
_TIED = 2 * _HALF - (int(np.float32(2.0**-15).view(np.uint32)) >> _SHIFT) + _LEAST + 1


@dataclass(frozen=True)
class RankingScore:
    """A score of all pixels together, and a bound on what the binning changes of it."""

    value: float
    error: float


class RankingCounts:
    """Histogram of the probabilities of each class, in memory that does not grow with the images.

    The first of the classes is the background.
    """

    def __init__(self, classes: int) -> None:
        self._positives = np.zeros((classes, BINS), np.int64)
        self._negatives = np.zeros((classes, BINS), np.int64)

    def add(self, truth: Label, probabilities: Probabilities) -> None:
        """Add the pixels of one image.

        Args:
            truth: `(height, width)` class indices; 255 is ignored.
            probabilities: `(height, width, classes)`, or 1 for the foreground alone.
        """
        counted = truth != IGNORE
        for index in range(1, len(self._positives)):
            layer = -1 if probabilities.shape[2] <= 2 else index
            bins = probability_bins(probabilities[:, :, layer][counted])
            positive = truth[counted] == index
            self._positives[index] += np.bincount(bins[positive], minlength=BINS)
            self._negatives[index] += np.bincount(bins[~positive], minlength=BINS)

    def scores(self, index: int) -> dict[str, RankingScore]:
        """Return the scores of `DEFINITIONS` for one class; empty where they are undefined."""
        positives, negatives = self._positives[index], self._negatives[index]
        if not positives.any() or not negatives.any():
            return {}
        return {
            "roc_auc": _area_under_roc(positives, negatives),
            "average_precision": _average_precision(positives, negatives),
        }


def probability_bins(probabilities: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the bins of probabilities; bins are finest near 0 and 1, where most pixels lie.

    The upper bits of a float32 are roughly its logarithm. Taken from p below one half and from
    1 - p above it, they make bins of the same relative width near 0 and near 1.

    Args:
        probabilities: `(pixels,)`, from 0 to 1.

    Returns:
        `(pixels,)`, from 0 to `BINS` - 1, monotonic in the probability.
    """
    bounded = np.clip(probabilities, 0, 1, dtype=np.float32)
    upper = bounded >= 0.5
    rarer = np.where(upper, 1 - bounded, bounded)
    places = np.maximum((rarer.view(np.uint32) >> _SHIFT).astype(np.intp) - _LEAST, 0)
    bins: NDArray[np.intp] = np.where(upper, 2 * _HALF - places, places)
    return bins


def _area_under_roc(positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> RankingScore:
    pairs = float(positives.sum()) * float(negatives.sum())
    below = np.cumsum(negatives) - negatives
    tied = positives.astype(float) * negatives / 2
    value = (float(positives.astype(float) @ below) + float(tied.sum())) / pairs
    return RankingScore(value, float(tied[:_TIED].sum()) / pairs)


def _average_precision(positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> RankingScore:
    found, more_found = positives[::-1], negatives[::-1]
    occupied = found > 0
    hits, misses = np.cumsum(found)[occupied], np.cumsum(more_found)[occupied]
    found, more_found = found[occupied], more_found[occupied]
    precision = hits / (hits + misses)
    shares = found / found.sum()
    # In the best case all positives of a bin precede its negatives. In the worst case they follow:
    # the k-th of them has a precision of (h + k) / (h + k + misses) after h hits above, and the sum
    # of 1 / (h + k + misses) is a difference of two digamma functions.
    highest = hits / (hits + misses - more_found)
    before = hits - found
    lowest = 1 - misses / found * (
        scipy.special.digamma(hits + misses + 1) - scipy.special.digamma(before + misses + 1)
    )
    unknown = np.where(np.flatnonzero(occupied) < BINS - _TIED, 0, shares)
    error = max(unknown @ (highest - precision), unknown @ (precision - lowest))
    return RankingScore(float(shares @ precision), float(error))
