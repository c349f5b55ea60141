"""Intensities of images: histograms, statistics, the scaling derived from them, and drift.

A network gives a mask for any image, however different from the training data. So the value ranges
of the training images travel with the model, and `describe_drift` compares an image with them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
HISTOGRAM_TYPE = np.dtype([("channel", np.uint16), ("value", np.float32), ("count", np.int64)])
_MAX_VALUES = 2**16
_MAX_ROWS = 2**20
_TOLERANCE = 0.5
"""Fraction of a range's width, and at most of the end's own value, by which it is widened."""
_MIN_TOLERANCE = 0.1
"""Fraction of the end's own value, for ranges of images that are nearly alike."""

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


@dataclass(frozen=True)
class DriftReference:
    """Lowest and highest values of the images of the training split.

    `brightness` is the range of the mean intensity of an image and `contrast` that of the standard
    deviation, each for each channel, and `edge` that of heights and widths in pixels.
    """

    brightness: list[list[float]]
    contrast: list[list[float]]
    edge: list[float]


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
    parts = []
    for channel in range(image.shape[2]):
        own = pixels[:, channel]
        if np.issubdtype(own.dtype, np.integer):
            counts = np.bincount(own)
            values = np.flatnonzero(counts)
            parts.append(_rows(channel, values, counts[values]))
        else:
            numbers = own.astype(np.float32) + np.float32(0)  # -0 becomes 0
            parts.append(_rows(channel, *np.unique(numbers, return_counts=True)))
    return np.concatenate(parts)


def measure_intensity(histograms: Iterable[NDArray[np.void]]) -> IntensityStatistics:
    """Measure the intensities of a set of images from their histograms, read one at a time.

    Returns:
        For each channel the 0.5 and 99.5 percentiles (the lowest value with at least that
        fraction of the pixels at or below it; if both are equal, `high` is the largest value, or
        one more if there is no larger value), the mean and the standard deviation.
    """
    merged = merge_histograms(histograms)
    if not len(merged):
        raise ValueError("There is no pixel to measure.")
    low, high = [], []
    for _, values, counts in _by_channel(merged):
        low.append(_percentile(values, counts, LOW_PERCENTILE))
        high.append(max(_percentile(values, counts, HIGH_PERCENTILE), low[-1]))
        if high[-1] == low[-1]:  # nearly all pixels are equal
            high[-1] = float(values[-1])
        if high[-1] == low[-1]:  # all are; add 1, or a step that float32 can represent
            high[-1] += max(1.0, abs(low[-1]) / 2**20)
    return IntensityStatistics(low, high, *measure_moments(merged))


def measure_moments(histogram: NDArray[np.void]) -> Moments:
    """Return mean and standard deviation of each channel of a histogram that is not empty."""
    means, deviations = [], []
    for _, values, counts in _by_channel(histogram):
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
    """Scale an image `(height, width, channels)` from `low` and `high` to 0 and 1 in float32.

    Values outside are clipped. The range comes from the training split, never from the image
    itself, so that a dark image stays dark.
    """
    floor = np.asarray(intensity.low, np.float32)
    span = np.asarray(intensity.high, np.float32) - floor
    return np.clip((image.astype(np.float32) - floor) / span, 0, 1)


def measure_drift_reference(moments: Sequence[Moments], edges: Sequence[int]) -> DriftReference:
    """Return the ranges of images from their moments, and their heights and widths in pixels."""
    values = np.array(moments)
    brightness, contrast = np.stack([values.min(axis=0), values.max(axis=0)], axis=-1).tolist()
    return DriftReference(brightness, contrast, [float(min(edges)), float(max(edges))])


def describe_drift(
    image: NDArray[np.generic], seen: DriftReference, shape: tuple[int, ...] | None = None
) -> str:
    """Describe how an image differs from the training images.

    Brightness and contrast are out of range if they exceed that of the training images by more
    than half of its width or half of its end, whichever is less, and by more than a tenth of its
    end. An edge is out of range if it is shorter than half of the shortest one; longer edges make
    no difference to a network that sees tiles.

    Args:
        image: `(height, width, channels)`, with the intensities of its file.
        seen: Ranges of the training images.
        shape: Height and width of the whole image if these pixels are only a sample of it.

    Returns:
        For example "unlike the training data: brightness 812 of channel 1, there 95 to 310"; ""
        if there is no difference.
    """
    moments = measure_moments(intensity_histogram(image))
    found = [
        f"{name} {value:.4g} of channel {channel + 1}, there {low:.4g} to {high:.4g}"
        for name, values, ranges in zip(
            ("brightness", "contrast"), moments, (seen.brightness, seen.contrast), strict=True
        )
        for channel, (value, (low, high)) in enumerate(zip(values, ranges, strict=True))
        if not low - _tolerance(low, high - low) <= value <= high + _tolerance(high, high - low)
    ]
    shortest = min((image.shape if shape is None else shape)[:2])
    if shortest < seen.edge[0] / 2:
        found.append(f"an edge of {shortest} pixels, there {seen.edge[0]:.0f} and more")
    return f"unlike the training data: {'; '.join(found)}" if found else ""


def _tolerance(end: float, width: float) -> float:
    return max(min(_TOLERANCE * width, _TOLERANCE * abs(end)), _MIN_TOLERANCE * abs(end))


def _by_channel(
    rows: NDArray[np.void],
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.int64]]]:
    """Yield the number, the values and the counts of each channel."""
    for channel in np.unique(rows["channel"]):
        own = rows[rows["channel"] == channel]
        yield int(channel), own["value"].astype(np.float64), own["count"]


def _rows(
    channel: int, values: NDArray[np.generic], counts: NDArray[np.integer]
) -> NDArray[np.void]:
    """Return the rows of a channel; beyond 65,536 ordered values, bins with their means."""
    if len(values) > _MAX_VALUES:
        exact = values.astype(np.float64)
        place = (exact - exact[0]) / (exact[-1] - exact[0]) * (_MAX_VALUES - 1)
        starts = np.flatnonzero(np.diff(place.astype(np.int64), prepend=-1))
        sums, counts = np.add.reduceat(exact * counts, starts), np.add.reduceat(counts, starts)
        values = sums / counts
    rows = np.empty(len(values), HISTOGRAM_TYPE)
    rows["channel"], rows["value"], rows["count"] = channel, values, counts
    return rows


def _sum(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Add the counts of equal values up, and bin each channel."""
    parts = [np.empty(0, HISTOGRAM_TYPE)]
    for channel, own, counts in _by_channel(rows):
        values, places = np.unique(own, return_inverse=True)
        totals = np.bincount(places, counts).astype(np.int64)  # exact below 2^53
        parts.append(_rows(channel, values, totals))
    return np.concatenate(parts)


def _percentile(values: NDArray[np.float64], counts: NDArray[np.int64], percentile: float) -> float:
    cumulative = np.cumsum(counts)
    return float(values[np.searchsorted(cumulative, cumulative[-1] * percentile / 100)])
