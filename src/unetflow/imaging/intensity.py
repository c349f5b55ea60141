"""Intensity statistics of a set of images, and the scaling that they fix."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5


@dataclass(frozen=True)
class IntensityRange:
    """The raw intensities that a network sees as 0 and as 1, one of each for each channel."""

    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class IntensityStatistics(IntensityRange):
    """Statistics of all pixels of a set of images, one value for each channel."""

    mean: list[float]
    standard_deviation: list[float]


def measure_intensity(images: Iterable[NDArray[np.generic]], bits: int) -> IntensityStatistics:
    """Measure the intensities of images, exactly and one image at a time.

    Args:
        images: `(height, width, channels)`, unsigned whole numbers.
        bits: Bits of each number, 8 or 16.

    Returns:
        For each channel the 0.5 and 99.5 percentiles (the lowest value with at least that share
        of the pixels at or below it; where both are equal, `high` is one more), the mean and the
        standard deviation.
    """
    histograms: NDArray[np.int64] | None = None
    for image in images:
        counts = np.stack(
            [
                np.bincount(np.ravel(image[:, :, channel]), minlength=2**bits)
                for channel in range(image.shape[2])
            ]
        )
        histograms = counts if histograms is None else histograms + counts
    if histograms is None:
        raise ValueError("There is no image to measure.")
    values = np.arange(2**bits)
    total = histograms.sum(axis=1)
    mean = histograms @ values / total
    variance = histograms @ values.astype(np.float64) ** 2 / total - mean**2
    low = [_percentile(row, LOW_PERCENTILE) for row in histograms]
    high = [_percentile(row, HIGH_PERCENTILE) for row in histograms]
    return IntensityStatistics(
        low=low,
        high=[max(top, bottom + 1.0) for bottom, top in zip(low, high, strict=True)],
        mean=mean.tolist(),
        standard_deviation=np.sqrt(np.maximum(variance, 0)).tolist(),
    )


def normalise(image: NDArray[np.generic], intensity: IntensityRange) -> NDArray[np.float32]:
    """Scale an image so that `low` becomes 0 and `high` becomes 1, and clip what lies outside.

    The range comes from the training split, never from the image itself, so that a dark image
    stays dark.

    Args:
        image: `(height, width, channels)`.
        intensity: What becomes 0 and 1.

    Returns:
        The same shape in float32, within [0, 1].
    """
    floor = np.asarray(intensity.low, np.float32)
    span = np.asarray(intensity.high, np.float32) - floor
    return np.clip((image.astype(np.float32) - floor) / span, 0, 1)


def _percentile(histogram: NDArray[np.int64], percentile: float) -> float:
    cumulative = np.cumsum(histogram)
    return float(np.searchsorted(cumulative, cumulative[-1] * percentile / 100))
