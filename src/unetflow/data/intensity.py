"""Intensity histograms and statistics of images, and the intensity scaling derived from them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
HISTOGRAM_TYPE = np.dtype([("channel", np.uint16), ("value", np.float32), ("count", np.int64)])
_MAX_VALUES = 2**16
_MAX_ROWS = 2**20

Moments = tuple[list[float], list[float]]
"""Means and standard deviations of an image's channels."""


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


def intensity_histogram(
    image: NDArray[np.generic], inside: NDArray[np.bool_] | None = None
) -> NDArray[np.void]:
    """Count the intensities of an image.

    Args:
        image: `(height, width, channels)` uint8, uint16 or float32. More than 65,536 different
            values of float32 are binned: values within a 65,536th of the channel's range are
            counted as their mean.
        inside: `(height, width)`, the pixels that count; None: all.

    Returns:
        Rows of `channel`, `value` and `count`, ordered by channel and value, counts above 0.
    """
    pixels = image.reshape(-1, image.shape[2]) if inside is None else image[inside]
    counted = (_count(pixels[:, channel]) for channel in range(image.shape[2]))
    return np.concatenate([_rows(channel, *counts) for channel, counts in enumerate(counted)])


def measure_intensity(histograms: Iterable[NDArray[np.void]]) -> IntensityStatistics:
    """Measure the intensities of a set of images from their histograms, one at a time.

    Args:
        histograms: Of each image; see `intensity_histogram`.

    Returns:
        For each channel the 0.5 and 99.5 percentiles (the lowest value with at least that
        fraction of the pixels at or below it; if both are equal, `high` is the largest value, or
        one more if there is no larger value), the mean and the standard deviation.
    """
    merged = merge_histograms(histograms)
    if not len(merged):
        raise ValueError("There is no pixel to measure.")
    low, high = [], []
    for _, rows in _by_channel(merged):
        values, counts = rows["value"].astype(np.float64), rows["count"]
        low.append(_percentile(values, counts, LOW_PERCENTILE))
        high.append(max(_percentile(values, counts, HIGH_PERCENTILE), low[-1]))
        if high[-1] == low[-1]:  # nearly all pixels are equal
            high[-1] = float(values[-1])
        if high[-1] == low[-1]:  # all are; add 1, or a step that float32 can represent
            high[-1] += max(1.0, abs(low[-1]) / 2**20)
    return IntensityStatistics(low, high, *measure_moments(merged))


def measure_moments(histogram: NDArray[np.void]) -> Moments:
    """Return mean and standard deviation of the intensities, one of each for each channel.

    Args:
        histogram: Of at least one pixel; see `intensity_histogram`.
    """
    means, deviations = [], []
    for _, rows in _by_channel(histogram):
        values, counts = rows["value"].astype(np.float64), rows["count"]
        mean = float(values @ counts / counts.sum())
        means.append(mean)
        deviations.append(float(np.sqrt((values - mean) ** 2 @ counts / counts.sum())))
    return means, deviations


def merge_histograms(histograms: Iterable[NDArray[np.void]]) -> NDArray[np.void]:
    """Return the sum of histograms; see `intensity_histogram`."""
    parts = [np.empty(0, HISTOGRAM_TYPE)]
    rows = 0
    for histogram in histograms:
        parts.append(histogram)
        rows += len(histogram)
        if rows > _MAX_ROWS:  # so that memory does not grow with the number of images
            parts = [_sum(np.concatenate(parts))]
            rows = 0
    return _sum(np.concatenate(parts))


def normalise(image: NDArray[np.generic], intensity: IntensityRange) -> NDArray[np.float32]:
    """Scale an image so that `low` becomes 0 and `high` becomes 1, and clip values outside.

    The range comes from the training split, never from the image itself, so that a dark image
    stays dark.

    Args:
        image: `(height, width, channels)`.
        intensity: The values that become 0 and 1.

    Returns:
        The same shape in float32, within [0, 1].
    """
    floor = np.asarray(intensity.low, np.float32)
    span = np.asarray(intensity.high, np.float32) - floor
    return np.clip((image.astype(np.float32) - floor) / span, 0, 1)


def _by_channel(rows: NDArray[np.void]) -> Iterator[tuple[int, NDArray[np.void]]]:
    for channel in np.unique(rows["channel"]):
        yield int(channel), rows[rows["channel"] == channel]


def _rows(
    channel: int, values: NDArray[np.generic], counts: NDArray[np.integer]
) -> NDArray[np.void]:
    rows = np.empty(len(values), HISTOGRAM_TYPE)
    rows["channel"], rows["value"], rows["count"] = channel, values, counts
    return rows


def _count(pixels: NDArray[np.generic]) -> tuple[NDArray[np.generic], NDArray[np.integer]]:
    if np.issubdtype(pixels.dtype, np.integer):
        counts = np.bincount(pixels)
        values = np.flatnonzero(counts)
        return values, counts[values]
    numbers = pixels.astype(np.float32) + np.float32(0)  # -0 becomes 0
    values, counts = np.unique(numbers, return_counts=True)
    return _bin(values, counts)


def _bin(
    values: NDArray[np.floating], counts: NDArray[np.integer]
) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Return at most 65,536 ordered values with their counts; binned ones become their mean."""
    if len(values) <= _MAX_VALUES:
        return values, counts
    exact = values.astype(np.float64)
    place = (exact - exact[0]) / (exact[-1] - exact[0]) * (_MAX_VALUES - 1)
    starts = np.flatnonzero(np.diff(place.astype(np.int64), prepend=-1))
    totals = np.add.reduceat(counts, starts)
    means = np.add.reduceat(exact * counts, starts) / totals
    return means.astype(np.float32), totals


def _sum(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Add the counts of equal values up, and bin each channel."""
    parts = [np.empty(0, HISTOGRAM_TYPE)]
    for channel, own in _by_channel(rows):
        ordered = own[np.argsort(own["value"], kind="stable")]
        values = ordered["value"]
        starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        totals = np.add.reduceat(ordered["count"], starts)
        parts.append(_rows(channel, *_bin(values[starts], totals)))
    return np.concatenate(parts)


def _percentile(values: NDArray[np.float64], counts: NDArray[np.int64], percentile: float) -> float:
    cumulative = np.cumsum(counts)
    return float(values[np.searchsorted(cumulative, cumulative[-1] * percentile / 100)])
