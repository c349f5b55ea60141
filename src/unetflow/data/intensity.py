"""Intensity statistics of a set of images, and the scaling that they fix."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
HISTOGRAM_TYPE = np.dtype([("channel", np.uint16), ("value", np.float32), ("count", np.int64)])
_MOST_VALUES = 2**16
_MOST_ROWS = 2**20


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
    """Count how often each intensity occurs in an image.

    Args:
        image: `(height, width, channels)` uint8, uint16 or float32. Where more than 65,536 numbers
            of float32 differ, neighbours are counted together as their mean: those within a
            65,536th of the channel's range.
        inside: `(height, width)`, the pixels that count; None: all.

    Returns:
        Rows of `channel`, `value` and `count`, ordered by channel and value, counts above 0.
    """
    pixels = image.reshape(-1, image.shape[2]) if inside is None else image[inside]
    parts = []
    for channel in range(image.shape[2]):
        values, counts = _count(pixels[:, channel])
        rows = np.empty(len(values), HISTOGRAM_TYPE)
        rows["channel"], rows["value"], rows["count"] = channel, values, counts
        parts.append(rows)
    return np.concatenate(parts)


def measure_intensity(histograms: Iterable[NDArray[np.void]]) -> IntensityStatistics:
    """Measure the intensities of a set of images from their histograms, one at a time.

    Args:
        histograms: Of each image; see `intensity_histogram`.

    Returns:
        For each channel the 0.5 and 99.5 percentiles (the lowest value with at least that share
        of the pixels at or below it; where both are equal, `high` is the largest value, or one
        more where there is none larger), the mean and the standard deviation.
    """
    merged = merge_histograms(histograms)
    if not len(merged):
        raise ValueError("There is no pixel to measure.")
    low, high, mean, deviation = [], [], [], []
    for channel in np.unique(merged["channel"]):
        rows = merged[merged["channel"] == channel]
        values, counts = rows["value"].astype(np.float64), rows["count"]
        total = counts.sum()
        centre = float(values @ counts / total)
        low.append(_percentile(values, counts, LOW_PERCENTILE))
        high.append(max(_percentile(values, counts, HIGH_PERCENTILE), low[-1]))
        if high[-1] == low[-1]:  # nearly all pixels are equal
            high[-1] = float(values[-1])
        if high[-1] == low[-1]:  # all are: one more, or what float32 can tell from so large ones
            high[-1] += max(1.0, abs(low[-1]) / 2**20)
        mean.append(centre)
        deviation.append(float(np.sqrt((values - centre) ** 2 @ counts / total)))
    return IntensityStatistics(low, high, mean, deviation)


def merge_histograms(histograms: Iterable[NDArray[np.void]]) -> NDArray[np.void]:
    """Add histograms up; see `intensity_histogram`."""
    parts = [np.empty(0, HISTOGRAM_TYPE)]
    rows = 0
    for histogram in histograms:
        parts.append(histogram)
        rows += len(histogram)
        if rows > _MOST_ROWS:  # so that memory does not grow with the number of images
            parts = [_thin_out(_add_up(np.concatenate(parts)))]
            rows = 0
    return _thin_out(_add_up(np.concatenate(parts)))


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


def _count(pixels: NDArray[np.generic]) -> tuple[NDArray[np.generic], NDArray[np.integer]]:
    if np.issubdtype(pixels.dtype, np.integer):
        counts = np.bincount(pixels)
        values = np.flatnonzero(counts)
        return values, counts[values]
    numbers = pixels.astype(np.float32) + np.float32(0)  # -0 becomes 0
    values, counts = np.unique(numbers, return_counts=True)
    return _join_neighbours(values, counts)


def _join_neighbours(
    values: NDArray[np.floating], counts: NDArray[np.integer]
) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Return at most 65,536 ordered values with their counts; joined ones have their mean."""
    if len(values) <= _MOST_VALUES:
        return values, counts
    exact = values.astype(np.float64)
    place = (exact - exact[0]) / (exact[-1] - exact[0]) * (_MOST_VALUES - 1)
    starts = np.flatnonzero(np.diff(place.astype(np.int64), prepend=-1))
    totals = np.add.reduceat(counts, starts)
    means = np.add.reduceat(exact * counts, starts) / totals
    return means.astype(np.float32), totals


def _thin_out(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Join neighbours in each channel of a histogram that has grown by those of many images."""
    parts = [np.empty(0, HISTOGRAM_TYPE)]
    for channel in np.unique(rows["channel"]):
        own = rows[rows["channel"] == channel]
        values, counts = _join_neighbours(own["value"], own["count"])
        joined = np.empty(len(values), HISTOGRAM_TYPE)
        joined["channel"], joined["value"], joined["count"] = channel, values, counts
        parts.append(joined)
    return np.concatenate(parts)


def _add_up(rows: NDArray[np.void]) -> NDArray[np.void]:
    order = np.lexsort((rows["value"], rows["channel"]))
    ordered = rows[order]
    if not len(ordered):
        return ordered
    new = np.ones(len(ordered), bool)
    new[1:] = (ordered["value"][1:] != ordered["value"][:-1]) | (
        ordered["channel"][1:] != ordered["channel"][:-1]
    )
    merged = ordered[new]
    merged["count"] = np.add.reduceat(ordered["count"], np.flatnonzero(new))
    return merged


def _percentile(values: NDArray[np.float64], counts: NDArray[np.int64], percentile: float) -> float:
    cumulative = np.cumsum(counts)
    return float(values[np.searchsorted(cumulative, cumulative[-1] * percentile / 100)])
