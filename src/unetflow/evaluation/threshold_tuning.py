"""Temperature, threshold and smallest object, tuned on the validation images."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import skimage as ski
from numpy.typing import NDArray

from unetflow.config.evaluation import EvaluationParameters
from unetflow.core.types import IGNORE, Label, Probabilities
from unetflow.data.samples import Sample
from unetflow.evaluation.calibration import PixelSample, describe_calibration, fit_temperature
from unetflow.inference.postprocessing import Postprocessing, scale_threshold
from unetflow.metrics.pixels import ChargedDice

_log = logging.getLogger(__name__)

_EDGE = 1e-4
"""Distance of a calibrated threshold from 0 and 1, so that float32 resolves both of its sides."""

_NO_FOREGROUND = (
    "No validation image holds foreground: the threshold is the middle one, and small objects are "
    "kept"
)


def tune_postprocessing(
    predict: Callable[[NDArray[np.generic]], Probabilities],
    samples: Mapping[str, Sample],
    classes: int,
    evaluation: EvaluationParameters,
    random: np.random.Generator,
    sizes: Sequence[int] = (0,),
) -> tuple[Postprocessing, pd.DataFrame, dict[str, Any]]:
    """Fit the temperature, and choose threshold and object size by the charged Dice of the images.

    See `metrics.pixels.CHARGED_DICE`. Where no image holds foreground there is none; then no object
    is removed, and the threshold is the middle one.

    Each image is predicted once and none is kept. A temperature keeps the order of the
    foreground's probabilities, so thresholds are compared on the network's own probabilities, and
    the best one is converted afterwards.

    More than two classes get neither: the most probable class is taken, and any of the others
    could belong in the place of a small object.

    Args:
        predict: Returns the probabilities of an image at a temperature of 1.
        samples: Validation samples, opened one at a time.
        classes: Number of classes.
        evaluation: The candidates, and the pixels and bins of the calibration.
        random: Draws the pixels that the temperature is fitted on.
        sizes: Candidates for the smallest area of an object, 0 first; see
            `data.object_sizes.SmallestObjects`.

    Returns:
        The best postprocessing; a row for each `threshold` with the `validation_dice` at the
        chosen size, and `validation_dice_from_<size>` for each size, empty for more than two
        classes; and the calibration (see `describe_calibration`).
    """
    pixels = PixelSample(evaluation.calibration.pixels, random)
    thresholds = np.linspace(0, 1, evaluation.threshold_candidates + 2)[1:-1]
    charged = ChargedDice()
    for sample in samples.values():
        probabilities = predict(sample.image)
        pixels.add(sample.label, probabilities)
        if classes == 2:
            true = int(np.count_nonzero(sample.label == 1))
            found = count_candidates(sample.label, probabilities[:, :, -1], thresholds, sizes)
            charged.add(true, *found)
    temperature = fit_temperature(pixels)
    calibration = describe_calibration(pixels, temperature, evaluation.calibration.bins)
    if classes > 2:
        empty = pd.DataFrame({"threshold": [], "validation_dice": []})
        most_probable = Postprocessing(threshold=None, temperature=temperature)
        return most_probable, empty, calibration
    dice = np.broadcast_to(charged.values, (len(sizes), len(thresholds)))
    if np.isnan(dice).all():
        _log.warning(_NO_FOREGROUND)
    calibrated = np.array([scale_threshold(t, temperature) for t in thresholds])
    size, best = choose_best(dice, (calibrated >= _EDGE) & (calibrated <= 1 - _EDGE))
    by_size = {f"validation_dice_from_{bound}": dice[row] for row, bound in enumerate(sizes)}
    curve = pd.DataFrame({"threshold": calibrated, "validation_dice": dice[size], **by_size})
    postprocessing = Postprocessing(
        threshold=float(calibrated[best]), temperature=temperature, min_object_size=sizes[size]
    )
    return postprocessing, curve, calibration


def count_candidates(
    truth: Label,
    foreground: NDArray[np.floating],
    thresholds: NDArray[np.float64],
    sizes: Sequence[int],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the true and the false positive pixels of one image, each `(sizes, thresholds)`.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        foreground: `(height, width)`, the foreground's probability.
        thresholds: In ascending order; a pixel is foreground at or above one.
        sizes: Areas in pixels, 0 first; smaller objects are removed. Ignored pixels count in an
            object's area, since they are unknown in a new image.
    """
    true, false = np.empty((2, len(sizes), len(thresholds)), np.intp)
    true[0], false[0] = count_by_threshold(truth, foreground, thresholds)
    if len(sizes) == 1:
        return true, false
    kind = np.where(truth == IGNORE, 2, truth).astype(np.intp)
    for column, threshold in enumerate(thresholds):
        found = foreground >= np.float32(threshold)
        objects = _find_objects(found)[found]
        # For each object, its pixels in the background, in the foreground and in ignored places
        pixels = np.bincount(objects * 3 + kind[found], minlength=3)
        pixels = np.append(pixels, np.zeros(-len(pixels) % 3, np.intp)).reshape(-1, 3)
        areas = pixels.sum(axis=1)
        for row, size in enumerate(sizes[1:], start=1):
            false[row, column], true[row, column], _ = pixels[areas >= size].sum(axis=0)
    return true, false


def count_by_threshold(
    truth: Label, foreground: NDArray[np.floating], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return what `count_candidates` does, for all thresholds in one pass, `(thresholds,)`."""
    edges = thresholds.astype(np.float32)
    # Position p means that a pixel passes the first p thresholds.
    passed = np.searchsorted(edges, foreground.astype(np.float32), side="right")
    true, false = (
        np.bincount(passed[pixels], minlength=len(edges) + 1)[::-1].cumsum()[::-1][1:]
        for pixels in (truth == 1, truth == 0)
    )
    return true, false


def choose_best(dice: NDArray[np.float64], allowed: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the row and the column of the highest Dice `(sizes, thresholds)`.

    Among equals it is the smallest size, which changes least, and the middle one of its thresholds.
    A Dice that is not a number counts as 0.
    `allowed` `(thresholds,)` is true where a threshold may be chosen, at least once.
    """
    possible = np.where(allowed, np.nan_to_num(dice), -np.inf)
    equal = possible >= possible.max() - 1e-12
    row = int(np.flatnonzero(equal.any(axis=1))[0])
    columns = np.flatnonzero(equal[row])
    return row, int(columns[len(columns) // 2])


def _find_objects(found: NDArray[np.bool_]) -> NDArray[np.intp]:
    return np.asarray(ski.measure.label(found, connectivity=2), np.intp)
