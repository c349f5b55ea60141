"""Detection of images that differ from the training images.

A network gives a mask for any image, however different from the training data. So the value ranges
of the training images travel with the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.data.intensity import Moments, intensity_histogram, measure_moments

_TOLERANCE = 0.5
"""Fraction of a range's width, and at most of the end's own value, by which it is widened."""

_MIN_TOLERANCE = 0.1
"""Fraction of the end's own value, for ranges of images that are nearly alike."""

Range = list[float]
"""The lowest and the highest value of an image of the training split."""


@dataclass(frozen=True)
class DriftReference:
    """Value ranges of the images of the training split.

    Attributes:
        brightness: For each channel the lowest and the highest mean intensity of an image.
        contrast: For each channel those of the standard deviation of an image's intensities.
        edge: The shortest and the longest edge of an image in pixels.
    """

    brightness: list[Range]
    contrast: list[Range]
    edge: Range


def measure_drift_reference(moments: Sequence[Moments], edges: Sequence[int]) -> DriftReference:
    """Return the ranges of a set of images.

    Args:
        moments: Of each image; see `measure_moments`.
        edges: Heights and widths of all images in pixels.
    """
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
        if _is_beyond(value, low, high)
    ]
    shortest = min((image.shape if shape is None else shape)[:2])
    if shortest < seen.edge[0] / 2:
        found.append(f"an edge of {shortest} pixels, there {seen.edge[0]:.0f} and more")
    return f"unlike the training data: {'; '.join(found)}" if found else ""


def _is_beyond(value: float, low: float, high: float) -> bool:
    below, above = (
        max(min(_TOLERANCE * (high - low), _TOLERANCE * abs(end)), _MIN_TOLERANCE * abs(end))
        for end in (low, high)
    )
    return not low - below <= value <= high + above
