"""Random crops of samples, and mirrored borders."""

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label
from unetflow.data.samples import Sample


def draw_crop(
    sample: Sample,
    size: int,
    random: np.random.Generator,
    *,
    margin: int = 0,
    foreground_fraction: float = 0.0,
) -> Sample:
    """Cut a square at a random place out of a sample, into memory.

    Beyond the sample the image is mirrored and the label is 255, so that no invented pixel counts.

    Args:
        sample: Only the crop's pixels are read from its memory maps.
        size: Edge of the square in pixels.
        random: Source of the place.
        margin: Context in pixels at each side, as valid convolutions need it. The rest lies inside
            the sample where it fits, so that the pixels at its borders are learnt, too.
        foreground_fraction: Fraction of the crops whose middle is made to hold a foreground pixel;
            see `find_foreground`.
    """
    inner = size - 2 * margin
    lows, highs = [0, 0], [max(length - inner, 0) for length in sample.label.shape]
    if foreground_fraction and random.random() < foreground_fraction:
        place = find_foreground(sample.label, random)
        if place is not None:
            lows = [max(p - inner + 1, 0) for p in place]
            highs = [min(p, high) for p, high in zip(place, highs, strict=True)]
    corner = [int(random.integers(low, high + 1)) for low, high in zip(lows, highs, strict=True)]
    return _cut(sample, corner[0] - margin, corner[1] - margin, size)


def find_foreground(label: Label, random: np.random.Generator) -> tuple[int, int] | None:
    """Return row and column of a random foreground pixel, neither 0 nor 255, or None.

    First a row with foreground is drawn, then one of its classes, then a pixel: so rare classes are
    drawn more often than their pixels. Rows are read only until one has foreground.
    """
    for row in random.permutation(len(label)).tolist():
        pixels = np.array(label[row])
        classes = np.setdiff1d(pixels, (0, IGNORE))
        if classes.size:
            columns = np.flatnonzero(pixels == random.choice(classes))
            return row, int(random.choice(columns))
    return None


def _cut(sample: Sample, top: int, left: int, size: int) -> Sample:
    """Return the square with this corner, which may lie outside the sample."""
    ranges = list(zip((top, left), sample.label.shape, strict=True))
    rows, columns = (slice(max(start, 0), start + size) for start, _ in ranges)
    image, label = np.array(sample.image[rows, columns]), np.array(sample.label[rows, columns])
    weights, targets = sample.weights, sample.object_targets
    weights = None if weights is None else np.array(weights[rows, columns])
    targets = None if targets is None else np.array(targets[rows, columns])
    outside = [(max(-start, 0), max(start + size - length, 0)) for start, length in ranges]
    if any(map(any, outside)):
        places = (mirrored_places(start, size, length) for start, length in ranges)
        image = np.array(sample.image[np.ix_(*places)])
        label = np.pad(label, outside, constant_values=IGNORE)
        weights = None if weights is None else np.pad(weights, outside)
        targets = None if targets is None else np.pad(targets, [*outside, (0, 0)])
    return Sample(image, label, weights, targets)


def mirrored_places(start: int, size: int, length: int) -> NDArray[np.intp]:
    """Return the indices of a range that may begin before 0 and end after a length, mirrored."""
    before, after = max(-start, 0), max(start + size - length, 0)
    places = np.pad(np.arange(length), (before, after), mode="reflect")
    return places[start + before : start + before + size]


def pad_mirrored(
    image: NDArray[np.generic], rows: tuple[int, int], columns: tuple[int, int]
) -> NDArray[np.generic]:
    """Pad `(height, width, channels)` before and after by mirroring at the border pixels."""
    return np.pad(image, (rows, columns, (0, 0)), mode="reflect")
