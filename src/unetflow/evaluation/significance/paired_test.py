"""Whether one method is better than another on the same images."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unetflow.evaluation.significance.intervals import confidence_interval, sum_groups

DEFINITION = (
    "mean_difference: mean over images of the first score less the second; interval: its 95 % "
    "bootstrap confidence interval, whole groups drawn; null for one group. p_value: Wilcoxon's "
    "signed-rank test over images, two-sided, without equal scores, with mean ranks for ties; null "
    "where fewer than 6 images differ. group_p_value: the same test over the means of the groups, "
    "which alone are independent where images of one group resemble each other."
)
_FEWEST = 6
"""With five differences even 5 to 0 has a p value of 2 / 2^5 = 0.06."""


@dataclass(frozen=True)
class PairedTest:
    """Two methods on the same images.

    Attributes:
        images: Images that both methods have a score of.
        mean_difference: Mean over images of the first method's score less the second's.
        interval: Its 95 % confidence interval; see `confidence_interval`.
        p_value: Of Wilcoxon's signed-rank test over images; see `compare_paired`.
        groups: Number of groups; None where there are none.
        group_p_value: Of the same test over the means of the groups, which are independent of
            each other where images of one group are not.
    """

    images: int
    mean_difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    groups: int | None
    group_p_value: float | None


def compare_paired(
    first: ArrayLike, second: ArrayLike, groups: Sequence[Hashable] | None = None, seed: int = 0
) -> PairedTest:
    """Compare the scores of two methods image by image.

    Wilcoxon's signed-rank test (Wilcoxon 1945, Biometrics Bulletin 1:80), two-sided:

    - equal scores say nothing and are left out;
    - equal differences share the mean of their ranks, and the p value then comes from the normal
      approximation with the variance corrected for them, or from all permutations where there
      are at most 13 differences, as SciPy decides;
    - fewer than 6 differences that are not zero can't reach 0.05, so that there is no p value.

    Args:
        first: A score of each image by one method. Images that lack one of two are left out.
        second: By the other, in the same order.
        groups: The group of each image; None where each stands for itself.
        seed: Of the interval.

    Raises:
        ValueError: The methods were not scored on equally many images, or share none.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"scores of shapes {one.shape} and {other.shape} are no pairs")
    # Rounded, so that differences that are equal but for the last digit count as equal.
    differences = np.round(one - other, 12)
    present = ~np.isnan(differences)
    differences = differences[present]
    if not len(differences):
        raise ValueError("there is no image that both methods have a score of")
    kept = None
    if groups is not None:
        kept = [g for g, is_there in zip(groups, present, strict=True) if is_there]
    sums, counts = sum_groups(differences, kept)
    return PairedTest(
        images=len(differences),
        mean_difference=float(differences.mean()),
        interval=confidence_interval(differences, kept, seed),
        p_value=_signed_rank(differences),
        groups=None if kept is None else len(sums),
        group_p_value=None if kept is None else _signed_rank(np.round(sums / counts, 12)),
    )


def _signed_rank(differences: NDArray[np.float64]) -> float | None:
    telling = differences[differences != 0]
    if len(telling) < _FEWEST:
        return None
    from scipy import stats  # half a second, which most runs need not wait for

    return float(stats.wilcoxon(telling).pvalue)
