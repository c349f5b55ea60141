"""What the training images were like, and whether an image is like them.

A network says nothing of its own about an image that is unlike all it has learnt from: it still
gives a mask. So the range of the training images travels with the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.data.intensity import intensity_histogram

_TOLERANCE = 0.5
"""By how much of its width, and at most by how much of the end's own value, a range is widened at
either end before something is out of it."""

_LEAST_TOLERANCE = 0.1
"""The same as a share of the end's own value, for ranges of images that are nearly alike."""

Moments = tuple[list[float], list[float]]
"""Means and standard deviations of an image's channels."""

Range = list[float]
"""The lowest and the highest value of an image of the training split."""


@dataclass(frozen=True)
class DriftReference:
    """How much the images of the training split differ.

    Attributes:
        brightness: For each channel the lowest and the highest mean intensity of an image.
        contrast: For each channel those of the standard deviation of an image's intensities.
        edge: The shortest and the longest edge of an image in pixels.
    """

    brightness: list[Range]
    contrast: list[Range]
    edge: Range

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DriftReference":
        """Read what `dataclasses.asdict` made."""
        return cls(**values)


def measure_drift_reference(moments: Sequence[Moments], edges: Sequence[int]) -> DriftReference:
    """Return the range of a set of images.

    Args:
        moments: Of each image; see `measure_moments`.
        edges: Heights and widths of all of them in pixels.
    """
    values = np.array(moments)
    brightness, contrast = np.stack([values.min(axis=0), values.max(axis=0)], axis=-1).tolist()
    return DriftReference(brightness, contrast, [float(min(edges)), float(max(edges))])


def measure_moments(histogram: NDArray[np.void]) -> Moments:
    """Return mean and standard deviation of an image's intensities, one of each for each channel.

    Args:
        histogram: Of at least one pixel; see `intensity.intensity_histogram`.
    """
    means, deviations = [], []
    for channel in np.unique(histogram["channel"]):
        rows = histogram[histogram["channel"] == channel]
        values, counts = rows["value"].astype(np.float64), rows["count"]
        mean = float(values @ counts / counts.sum())
        means.append(mean)
        deviations.append(float(np.sqrt((values - mean) ** 2 @ counts / counts.sum())))
    return means, deviations


def describe_drift(
    image: NDArray[np.generic], seen: DriftReference, shape: tuple[int, ...] | None = None
) -> str:
    """Tell in what an image is unlike the training images.

    Brightness and contrast are out of range when they are beyond that of the training images by
    more than half of its width or half of its end, whichever is less, and by more than a tenth of
    its end. An edge is when it is shorter than half of the shortest one; a longer one makes no
    difference to a network that sees tiles.

    Args:
        image: `(height, width, channels)`, with the intensities that its file holds.
        seen: Of the training images.
        shape: Height and width of an image of which these pixels are a sample; None: they are all.

    Returns:
        Such as "unlike the training data: brightness 812 of channel 1, there 95 to 310"; empty
        where there is nothing to tell.
    """
    moments = measure_moments(intensity_histogram(image))
    found = [
        f"{name} {value:.4g} of channel {channel + 1}, there {low:.4g} to {high:.4g}"
        for name, values, ranges in zip(
            ("brightness", "contrast"), moments, (seen.brightness, seen.contrast), strict=True
        )
        for channel, (value, (low, high)) in enumerate(zip(values, ranges, strict=True))
        if _is_beyond(value, low, high)
    ]
    shortest = min((image.shape if shape is None else shape)[:2])
    if shortest < seen.edge[0] / 2:
        found.append(f"an edge of {shortest} pixels, there {seen.edge[0]:.0f} and more")
    return f"unlike the training data: {'; '.join(found)}" if found else ""


def _is_beyond(value: float, low: float, high: float) -> bool:
    below, above = (
        max(min(_TOLERANCE * (high - low), _TOLERANCE * abs(end)), _LEAST_TOLERANCE * abs(end))
        for end in (low, high)
    )
    return not low - below <= value <= high + above
