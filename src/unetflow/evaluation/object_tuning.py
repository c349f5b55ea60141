"""Foreground threshold, seeds and smallest object, tuned together on validation objects."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.config.mask_export import ObjectParameters
from unetflow.core.types import IGNORE, Label
from unetflow.data.samples import Sample, SampleFolder
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.separation import Separation
from unetflow.metrics.regions import mean_f1

_log = logging.getLogger(__name__)

MOST_PIXELS = 2**23
"""Validation pixels that candidates are compared on: as many whole images as fit, evenly chosen."""
_SEED_THRESHOLDS = tuple(float(threshold) for threshold in np.arange(1, 9) / 10)
_THRESHOLD_STEPS = (-0.2, -0.1, -0.05, 0.05, 0.1, 0.2)
_FRACTIONS_OF_RADIUS = (0.25, 0.5, 0.75, 1.0)
_LOST_PERCENTAGES = (0.25, 0.5, 1.0)
"""Percentages of the true objects that a smallest object may cost."""
_ROUNDS = 2


@dataclass(frozen=True)
class _Case:
    """An image with numbered objects, `(height, width)`, and what the network computes for it."""

    label: Label
    numbers: NDArray[np.unsignedinteger]
    outputs: NetworkOutputs

    def score(self, postprocessing: Postprocessing) -> float:
        """Return `mean_f1` outside of ignored pixels."""
        objects = postprocessing.segment(self.outputs).objects
        assert objects is not None  # noqa: S101 - candidates have a rule for objects
        return mean_f1(self.numbers, np.where(self.label == IGNORE, 0, objects.numbers))


def tune_separation(segmenter: Segmenter, samples: SampleFolder) -> Postprocessing:
    """Tune the postprocessing of a segmenter on numbered objects; see `choose_separation`."""
    postprocessing, score = choose_separation(
        segmenter.predict_outputs, samples, samples.instances, segmenter.postprocessing
    )
    message = "Objects of the validation images: mean F1 %.3f over IoU 0.5 to 0.95"
    if math.isnan(score):
        message = "No validation image numbers its objects: their separation was not tuned (F1 %s)"
    _log.info(message, score)
    return postprocessing


def choose_separation(
    predict: Callable[[NDArray[np.generic]], NetworkOutputs],
    samples: Mapping[str, Sample],
    numbers_of: Callable[[str], NDArray[np.unsignedinteger] | None],
    tuned: Postprocessing,
) -> tuple[Postprocessing, float]:
    """Choose foreground threshold, seeds and smallest object by the F1 of validation objects.

    The score is the mean over images of the mean F1 over IoU above 0.50, 0.55 ... 0.95. Starting
    from the threshold that was tuned for pixels, each value in turn is replaced by the best of its
    candidates while the others stay, twice over. A candidate replaces the present value only if it
    is better.

    Args:
        predict: Returns the outputs of an image, with calibrated probabilities.
        samples: Validation samples; of images with more than `MOST_PIXELS` together, some.
        numbers_of: Returns the numbers of a sample's true objects, None where unknown.
        tuned: Has the threshold, None for more than two classes, and the temperature.

    Returns:
        The postprocessing and its score; that of `tuned`, and NaN, where no object is numbered.
    """
    cases = _read_cases(predict, samples, numbers_of)
    areas = np.concatenate([np.zeros(0, int), *(_areas_of(case.numbers) for case in cases)])
    separation = Separation(seed_threshold=0.5, min_distance=_distances(areas)[0])
    if not areas.size:
        return tuned.model_copy(update={"separation": separation}), math.nan
    best = tuned.model_copy(
        update={"min_object_size": 0, "separation": separation, "objects": ObjectParameters()}
    )
    scores: dict[str, float] = {}

    def score(candidate: Postprocessing) -> float:
        key = candidate.model_dump_json()
        if key not in scores:
            scores[key] = float(np.mean([case.score(candidate) for case in cases]))
        return scores[key]

    for _ in range(_ROUNDS):
        for list_candidates in (_vary_seeds, _vary_distance, _vary_threshold, _vary_size):
            best = max([best, *list_candidates(best, areas)], key=score)
    return best.with_objects(None), score(best)


def _vary_seeds(best: Postprocessing, areas: NDArray[np.int64]) -> list[Postprocessing]:
    return [_with_separation(best, seed_threshold=value) for value in _SEED_THRESHOLDS]


def _vary_distance(best: Postprocessing, areas: NDArray[np.int64]) -> list[Postprocessing]:
    return [_with_separation(best, min_distance=value) for value in _distances(areas)]


def _vary_threshold(best: Postprocessing, areas: NDArray[np.int64]) -> list[Postprocessing]:
    if best.threshold is None:
        return []
    values = [best.threshold + step for step in _THRESHOLD_STEPS]
    return [best.model_copy(update={"threshold": value}) for value in values if 0 < value < 1]


def _vary_size(best: Postprocessing, areas: NDArray[np.int64]) -> list[Postprocessing]:
    if best.threshold is None:  # any of the other classes could belong in a small object's place
        return []
    return [best.model_copy(update={"min_object_size": size}) for size in _sizes(areas)]


def _with_separation(best: Postprocessing, **changes: float) -> Postprocessing:
    assert best.separation is not None  # noqa: S101 - the start has one
    separation = best.separation.model_copy(update=changes)
    return best.model_copy(update={"separation": separation})


def _distances(areas: NDArray[np.int64]) -> list[int]:
    """Return candidates for the distance of seeds: parts of the radius of the median object."""
    radius = np.sqrt(np.median(areas) / np.pi) if areas.size else 1.0
    return sorted({max(round(part * radius), 1) for part in _FRACTIONS_OF_RADIUS})


def _sizes(areas: NDArray[np.int64]) -> list[int]:
    """Return candidates for the smallest object, and 0.

    They are areas below which at most 1 % of the true objects lie, and their halves, since a found
    object may be smaller than the true one.
    """
    bounds = np.percentile(areas, _LOST_PERCENTAGES, method="lower")
    return sorted({0, *(int(bound) for bound in [*bounds, *bounds // 2])})


def _read_cases(
    predict: Callable[[NDArray[np.generic]], NetworkOutputs],
    samples: Mapping[str, Sample],
    numbers_of: Callable[[str], NDArray[np.unsignedinteger] | None],
) -> list[_Case]:
    pixels = sum(sample.label.size for sample in samples.values())
    step = max(-(-pixels // MOST_PIXELS), 1)
    cases = []
    for sample_id in list(samples)[::step]:
        numbers = numbers_of(sample_id)
        if numbers is not None:
            label = np.array(samples[sample_id].label)
            numbers = np.where(label == IGNORE, 0, numbers)
            cases.append(_Case(label, numbers, predict(samples[sample_id].image)))
    return cases


def _areas_of(numbers: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    _, areas = np.unique(numbers[numbers > 0], return_counts=True)
    return np.asarray(areas, np.int64)
