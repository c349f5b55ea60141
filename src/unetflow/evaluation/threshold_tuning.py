"""From probabilities to a mask: what is settled about it on the validation images."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.measure import label as connected_components

from unetflow.core.types import IGNORE, Label, Probabilities
from unetflow.data.samples import Sample
from unetflow.evaluation.calibration import (
    PixelSample,
    describe_calibration,
    fit_temperature,
)
from unetflow.inference.postprocessing import Decision
from unetflow.inference.temperature import scale_threshold
from unetflow.metrics.pixels import Confusion
from unetflow.metrics.thresholds import choose_threshold

_EDGE = 1e-4
"""How near to 0 and 1 a calibrated threshold may be: float32 must still tell its sides apart."""


@dataclass(frozen=True)
class DecisionSettings:
    """What is tried.

    Attributes:
        threshold_candidates: Thresholds, evenly between 0 and 1 of the network's probability.
        object_size_percentiles: Percentiles of the true objects' areas that are tried as the
            smallest area of an object, beside 0.
        pixels: Most validation pixels that the temperature is fitted on.
        bins: Of the reliability curve.
    """

    threshold_candidates: int
    object_size_percentiles: Sequence[float]
    pixels: int
    bins: int


def settle_decision(
    predict: Callable[[NDArray[np.generic]], Probabilities],
    samples: Mapping[str, Sample],
    classes: int,
    settings: DecisionSettings,
    random: np.random.Generator,
) -> Decision:
    """Fit the temperature and choose threshold and object size by the mean Dice over images.

    Each image is predicted once and none is kept. A temperature leaves the order of the
    probabilities of the foreground as it is, so that thresholds are tried on those of the network
    and the chosen one is carried over afterwards.

    More than two classes have neither: the most probable class is taken, and what should stand in
    the place of a small object could be any of the others.

    Args:
        predict: Turns an image into probabilities at a temperature of 1.
        samples: Validation samples, opened one at a time.
        classes: Number of classes.
        settings: What is tried.
        random: Draws the pixels that the temperature is fitted on.
    """
    pixels = PixelSample(settings.pixels, random)
    thresholds = np.linspace(0, 1, settings.threshold_candidates + 2)[1:-1]
    sizes = [0]
    if classes == 2:
        sizes = size_candidates(
            (sample.label for sample in samples.values()), settings.object_size_percentiles
        )
    dice = np.zeros((len(sizes), len(thresholds)))
    for sample in samples.values():
        probabilities = predict(sample.image)
        pixels.add(sample.label, probabilities)
        if classes == 2:
            dice += try_decisions(sample.label, probabilities[:, :, -1], thresholds, sizes)
    temperature = fit_temperature(pixels)
    calibration = describe_calibration(pixels, temperature, settings.bins)
    if classes > 2:
        empty = pd.DataFrame({"threshold": [], "validation_dice": []})
        return Decision(temperature, None, 0, empty, calibration)
    dice /= len(samples)
    calibrated = np.array([scale_threshold(t, temperature) for t in thresholds])
    size, threshold = choose_best(dice, (calibrated >= _EDGE) & (calibrated <= 1 - _EDGE))
    curve = pd.DataFrame({"threshold": calibrated, "validation_dice": dice[size]})
    for number, tried in enumerate(sizes):
        curve[f"validation_dice_from_{tried}"] = dice[number]
    return Decision(temperature, float(calibrated[threshold]), sizes[size], curve, calibration)


def size_candidates(labels: Iterable[Label], percentiles: Sequence[float]) -> list[int]:
    """Return smallest areas of an object that are worth trying, in rising order.

    Args:
        labels: `(height, width)` class indices of two classes, one at a time.
        percentiles: Of the areas of the true objects, which are the pieces of the foreground whose
            pixels touch at a side or a corner.

    Returns:
        0, and the percentiles in whole pixels that would remove anything at all.
    """
    areas = [np.bincount(_find_objects(label == 1).ravel())[1:] for label in labels]
    together = np.concatenate([np.zeros(0, np.intp), *areas])
    if not together.size or not len(percentiles):
        return [0]
    found = np.percentile(together, percentiles).astype(int)
    return sorted({0, *(int(area) for area in found if area > 1)})


def try_decisions(
    truth: Label,
    foreground: NDArray[np.floating],
    thresholds: NDArray[np.float64],
    sizes: Sequence[int],
) -> NDArray[np.float64]:
    """Return the Dice of one image at each smallest object size and threshold.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        foreground: `(height, width)`, the foreground's probability.
        thresholds: In rising order; a pixel is foreground at or above one.
        sizes: Areas in pixels, 0 first; smaller objects are removed. Ignored pixels count in an
            object's area, since no new image tells which they are.

    Returns:
        `(sizes, thresholds)`.
    """
    dice = np.empty((len(sizes), len(thresholds)))
    dice[0] = choose_threshold([(truth, foreground)], thresholds.tolist())[1]
    if len(sizes) == 1:
        return dice
    kind = np.where(truth == IGNORE, 2, truth).astype(np.intp)
    positives, negatives = (int(np.count_nonzero(truth == index)) for index in (1, 0))
    for column, threshold in enumerate(thresholds):
        found = foreground >= np.float32(threshold)
        objects = _find_objects(found)[found]
        # For each object its pixels where there is background, foreground and nothing that counts.
        pixels = np.bincount(objects * 3 + kind[found], minlength=3)
        pixels = np.append(pixels, np.zeros(-len(pixels) % 3, np.intp)).reshape(-1, 3)
        areas = pixels.sum(axis=1)
        for row, size in enumerate(sizes[1:], start=1):
            false, true, _ = (int(count) for count in pixels[areas >= size].sum(axis=0))
            dice[row, column] = Confusion(true, false, positives - true, negatives - false).dice
    return dice


def choose_best(dice: NDArray[np.float64], allowed: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the row and the column of the best mean Dice.

    Args:
        dice: `(sizes, thresholds)`.
        allowed: `(thresholds,)`, which thresholds may be chosen; at least one.

    Returns:
        Of equals the smallest size, which changes least, and of its thresholds the middle one.
    """
    possible = np.where(allowed, dice, -np.inf)
    equal = possible >= possible.max() - 1e-12
    row = int(np.flatnonzero(equal.any(axis=1))[0])
    columns = np.flatnonzero(equal[row])
    return row, int(columns[len(columns) // 2])


def _find_objects(found: NDArray[np.bool_]) -> NDArray[np.intp]:
    return np.asarray(connected_components(found, connectivity=2), np.intp)
