"""The interval beside a mean."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_RESAMPLES = 9999
_AT_ONCE = 100
"""Resamples that are in memory at once, so that many images need no more of it."""


def confidence_interval(
    values: ArrayLike, groups: Sequence[Hashable] | None = None, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of a mean over images.

    It is the bias-corrected and accelerated bootstrap (Efron 1987, JASA 82:171). Images of one
    group, such as one patient, resemble each other and say less than as many patients would, so
    that whole groups are drawn, each with all its images; the number is still the mean over
    images. Without groups each image is its own.

    Args:
        values: The score of each image; missing ones are left out.
        groups: The group of each image; None where each stands for itself.
        seed: The same seed gives the same interval.

    Returns:
        The lower and the upper end. None where there are fewer than two groups (or images),
        which say nothing of how much others would differ.
    """
    scores = np.asarray(values, np.float64)
    present = ~np.isnan(scores)
    sums, counts = sum_groups(
        scores[present],
        None
        if groups is None
        else [g for g, is_there in zip(groups, present, strict=True) if is_there],
    )
    if len(sums) < 2:
        return None
    means = sums / counts
    if np.ptp(means) < 1e-12:  # nothing varies, for which the bootstrap's formulas are undefined
        return float(means.min()), float(means.max())
    from scipy import stats  # half a second, which most runs need not wait for

    interval = stats.bootstrap(
        (sums, counts),
        _ratio_of_sums,
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=_AT_ONCE,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def sum_groups(
    values: NDArray[np.float64], groups: Sequence[Hashable] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each group the sum of its values and how many there are."""
    numbers: dict[Hashable, int] = {}
    keys = range(len(values)) if groups is None else groups
    places = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)
    sums: NDArray[np.float64] = np.bincount(places, weights=values).astype(np.float64)
    return sums, np.bincount(places).astype(np.float64)


def _ratio_of_sums(
    sums: NDArray[np.float64], counts: NDArray[np.float64], axis: int
) -> NDArray[np.float64]:
    return np.asarray(sums.sum(axis=axis) / counts.sum(axis=axis))
