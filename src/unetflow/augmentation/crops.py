"""Random crops that depend on the seed, the epoch and the sample alone."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from unetflow.config.training import PlannedTraining
from unetflow.core.rng import generator_for
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
    """Cut a square at a random place out of a sample.

    Beyond the sample the image is continued by mirroring and the label by 255, so that nothing
    invented is learnt.

    Args:
        sample: The sample; only the crop's pixels are read from its memory maps.
        size: Edge of the square in pixels.
        random: Where the place comes from.
        margin: Pixels at each side of the square that only give context, as valid convolutions
            need it. What is left in the middle lies inside the sample where it fits, so that all
            its pixels can be learnt, those at its borders too.
        foreground_fraction: Share of the crops whose middle is made to hold a foreground pixel,
            where the sample has one; see `find_foreground`.

    Returns:
        A crop in memory: image `(size, size, channels)`, label and weights `(size, size)`.
    """
    shape, inner = sample.label.shape, size - 2 * margin
    lows = [0, 0]
    highs = [max(length - inner, 0) for length in shape]
    if foreground_fraction and random.random() < foreground_fraction:
        place = find_foreground(sample.label, random)
        if place is not None:
            lows = [max(p - inner + 1, 0) for p in place]
            highs = [min(p, high) for p, high in zip(place, highs, strict=True)]
    corner = [int(random.integers(low, high + 1)) for low, high in zip(lows, highs, strict=True)]
    return _cut(sample, corner[0] - margin, corner[1] - margin, size)


def fixed_crops(
    samples: Mapping[str, Sample], settings: PlannedTraining, margin: int, seed: int
) -> dict[str, Sample]:
    """Cut a few squares that hold foreground, where there is any, for overfitting.

    Args:
        samples: Where they come from, as many as possible of them.
        settings: Their number and their edge, with the margin.
        margin: Pixels at each side that a training crop adds for context; they are left out.
        seed: Another seed gives others.

    Returns:
        The crops in memory by a name that begins with the sample's id.
    """
    size = settings.crop_size - 2 * margin
    order = generator_for(seed, "fixed crops").permutation(len(samples)).tolist()
    ids = list(samples)
    return {
        f"{ids[order[number % len(ids)]]}#{number}": draw_crop(
            samples[ids[order[number % len(ids)]]],
            size,
            generator_for(seed, "fixed crop", number),
            foreground_fraction=1.0,
        )
        for number in range(settings.overfit_crops)
    }


def find_foreground(label: Label, random: np.random.Generator) -> tuple[int, int] | None:
    """Return the row and the column of a random foreground pixel, None where there is none.

    All rows with foreground are equally likely, in a row all classes that it has, and then all
    pixels of the class: a rare class is found more often than its pixels are. Rows are read until
    one has foreground, not the whole label.

    Args:
        label: `(height, width)` uint8; neither 0 nor 255 is foreground.
        random: Where the place comes from.
    """
    for row in random.permutation(len(label)).tolist():
        pixels = np.array(label[row])
        classes = np.setdiff1d(pixels, (0, IGNORE))
        if classes.size:
            columns = np.flatnonzero(pixels == random.choice(classes))
            return row, int(random.choice(columns))
    return None


def _cut(sample: Sample, top: int, left: int, size: int) -> Sample:
    """Return the square with this corner, which may lie outside of the sample."""
    height, width = sample.label.shape
    rows, columns = (slice(max(start, 0), start + size) for start in (top, left))
    image, label = np.array(sample.image[rows, columns]), np.array(sample.label[rows, columns])
    weights = None if sample.weights is None else np.array(sample.weights[rows, columns])
    outside = [
        (max(-start, 0), max(start + size - length, 0))
        for start, length in ((top, height), (left, width))
    ]
    if any(map(any, outside)):
        places = (
            mirrored_places(start, size, length) for start, length in ((top, height), (left, width))
        )
        image = np.array(sample.image[np.ix_(*places)])
        label = np.pad(label, outside, constant_values=IGNORE)
        weights = None if weights is None else np.pad(weights, outside)
    return Sample(image, label, weights)


def mirrored_places(start: int, size: int, length: int) -> NDArray[np.intp]:
    """Return the places of a stretch that may begin before 0 and end after a length.

    They are those that `pad_mirrored` repeats.
    """
    before, after = max(-start, 0), max(start + size - length, 0)
    places = np.pad(np.arange(length), (before, after), mode="reflect")
    return places[start + before : start + before + size]


def pad_mirrored(
    image: NDArray[np.generic], rows: tuple[int, int], columns: tuple[int, int]
) -> NDArray[np.generic]:
    """Continue an image beyond its borders by mirroring it, the border itself not doubled.

    Args:
        image: `(height, width, channels)`.
        rows: Rows to add above and below.
        columns: Columns to add on the left and on the right.

    Returns:
        The larger image. A mirror longer than the image goes back and forth; one pixel repeats.
    """
    return np.pad(image, (rows, columns, (0, 0)), mode="reflect")
