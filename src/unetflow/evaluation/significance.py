"""Confidence intervals of means over images, and paired tests of two methods."""

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 9999
BATCH = 100
"""Resamples in memory at a time, so that memory stays small with many images."""
_FEWEST = 6
"""With five differences even 5 to 0 has a p value of 2 / 2^5 = 0.06."""


@dataclass(frozen=True)
class PairedTest:
    """Comparison of two methods on the `images` that both have scored.

    See `evaluation.comparison.DEFINITION`.
    `groups`, their number, and `group_p_value` are None where there are no groups.
    """

    images: int
    mean_difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    groups: int | None
    group_p_value: float | None


def confidence_interval(
    values: ArrayLike, groups: Sequence[Hashable] | None = None, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of a mean over images.

    The method is the bias-corrected and accelerated bootstrap (Efron 1987, JASA 82:171). Images of
    one group, for example of one patient, are similar and carry less information than images of
    different groups. So whole groups are resampled, each with all its images; the statistic
    remains the mean over images. There is no interval for fewer than two groups.

    Args:
        values: Score of each image; NaNs are left out.
        groups: Group of each image; None where each image is its own group.
        seed: Of the resampling.
    """
    _, sums, counts = sum_groups(np.asarray(values, np.float64), groups)
    if len(sums) < 2:
        return None
    means = sums / counts
    if np.ptp(means) < 1e-12:  # nothing varies, for which the bootstrap's formulas are undefined
        return float(means.min()), float(means.max())
    return bootstrap_interval(
        [sums, counts],
        lambda sums, counts, axis: sums.sum(axis=axis) / counts.sum(axis=axis),
        seed,
    )


def ratio_interval(
    parts: ArrayLike,
    wholes: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of a ratio of sums over images.

    Groups are resampled as in `confidence_interval`. There is no interval for fewer than two groups
    or where the wholes are 0. A resample whose wholes are 0 counts as one with 1.

    Args:
        parts: Part of each image, a whole number.
        wholes: Whole of each image, a whole number from 0 on.
        groups: Group of each image; None where each image is its own group.
        seed: Of the resampling.
    """
    _, sums, _ = sum_groups(np.asarray(parts, np.float64), groups)
    _, totals, _ = sum_groups(np.asarray(wholes, np.float64), groups)
    if len(sums) < 2 or not totals.any():
        return None
    ratio = float(sums.sum() / totals.sum())
    if np.abs(sums - ratio * totals).max() < 1e-9:  # nothing varies
        return ratio, ratio
    return bootstrap_interval(
        [sums, totals],
        lambda sums, totals, axis: sums.sum(axis=axis) / np.maximum(totals.sum(axis=axis), 1),
        seed,
    )


def bootstrap_interval(
    samples: Sequence[NDArray[np.float64]], statistic: Callable[..., Any], seed: int
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a statistic of samples that are resampled together.

    It is bias-corrected and accelerated, or that of the percentiles where this is undefined.

    Args:
        samples: Arrays of equal length.
        statistic: Takes the samples and the `axis` to reduce, as for `scipy.stats.bootstrap`.
        seed: Seed of the resampling.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of SciPy about results that do not vary, seen below
        found = scipy.stats.bootstrap(
            samples,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=BATCH,
            method="BCa",
            rng=np.random.default_rng(seed),
        )
    ends = found.confidence_interval.low, found.confidence_interval.high
    if np.isnan(ends).any():
        ends = np.percentile(found.bootstrap_distribution, [2.5, 97.5])
    return float(ends[0]), float(ends[1])


def compare_paired(
    first: ArrayLike, second: ArrayLike, groups: Sequence[Hashable] | None = None, seed: int = 0
) -> PairedTest:
    """Compare the scores of two methods image by image.

    The p values are those of the two-sided signed-rank test (Wilcoxon 1945, Biometrics Bulletin
    1:80):

    - equal scores are left out;
    - equal differences share the mean of their ranks, and the p value then comes from the normal
      approximation with a variance corrected for ties, or from all permutations where there are at
      most 13 differences, as SciPy decides;
    - there is no p value for fewer than 6 differences, which cannot reach 0.05.

    Args:
        first: Score of each image by one method. Images without one of both scores are left out.
        second: By the other method, in the same order.
        groups: Group of each image; None where each image is its own group.
        seed: Seed of the interval.

    Raises:
        ValueError: The numbers of scores differ, or no image has both scores.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"scores of shapes {one.shape} and {other.shape} do not match")
    # Rounded, so that differences that are equal except for the last digit count as equal.
    differences = np.round(one - other, 12)
    present, sums, counts = sum_groups(differences, groups)
    if not len(present):
        raise ValueError("no image has a score by both methods")
    return PairedTest(
        images=len(present),
        mean_difference=float(present.mean()),
        interval=confidence_interval(differences, groups, seed),
        p_value=signed_rank(present),
        groups=None if groups is None else len(sums),
        group_p_value=None if groups is None else signed_rank(np.round(sums / counts, 12)),
    )


def sum_groups(
    values: NDArray[np.float64], groups: Sequence[Hashable] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the values without NaNs, the sum of those of each group, and their number."""
    present = ~np.isnan(values)
    keys = range(len(values)) if groups is None else groups
    numbers: dict[Hashable, int] = {}
    kept = [key for key, is_there in zip(keys, present, strict=True) if is_there]
    places = np.array([numbers.setdefault(key, len(numbers)) for key in kept], np.intp)
    sums = np.bincount(places, weights=values[present]).astype(np.float64)
    return values[present], sums, np.bincount(places).astype(np.float64)


def signed_rank(differences: NDArray[np.float64]) -> float | None:
    """Return the p value of the signed-rank test, if enough differ; see `compare_paired`."""
    different = differences[differences != 0]
    if len(different) < _FEWEST:
        return None
    return float(scipy.stats.wilcoxon(different).pvalue)
