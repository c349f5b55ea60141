"""How objects are separated, tuned on numbered objects: seeds, threshold and smallest object."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

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
"""Pixels that candidates are compared on: as many whole images as fit, evenly chosen."""
_START = Separation(seed_threshold=0.1, min_distance=2, prominence=0.1)
"""What the search begins with, and what stays where nothing is known about objects."""
_SEED_THRESHOLDS = (0.05, *(float(threshold) for threshold in np.arange(1, 9) / 10))
_PROMINENCES = (0.0, 0.02, 0.035, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
_THRESHOLD_STEPS = (-0.2, -0.1, -0.05, 0.05, 0.1, 0.2)
_FRACTIONS_OF_RADIUS = (0.1, 0.25, 0.5, 0.75, 1.0)
_ROUNDS = 2

Numbers = Callable[[str], NDArray[np.unsignedinteger] | None]
"""Returns the number of each pixel's true object in a sample `(height, width)`; None if unknown."""
_Vary = Callable[[Postprocessing], Sequence[Postprocessing]]


@dataclass(frozen=True)
class _Case:
    """An image with numbered objects, `(height, width)`, and what the network computes for it."""

    label: Label
    numbers: NDArray[np.unsignedinteger]
    outputs: NetworkOutputs

    def score(self, postprocessing: Postprocessing) -> tuple[float, int]:
        """Return the F1 of a candidate, and how many objects it finds too many or too few.

        The F1 is `mean_f1` outside of ignored pixels, as a mean over the classes that occur.
        """
        objects = postprocessing.segment(self.outputs).objects
        assert objects is not None  # noqa: S101 - candidates have a rule for objects
        found = np.where(self.label == IGNORE, 0, objects.numbers)
        true_class = np.where(self.numbers > 0, self.label, 0)
        found_class = np.concatenate([[0], objects.classes])[found]
        classes = np.setdiff1d(np.union1d(true_class, found_class), 0)
        wrong = abs(_count(found) - _count(self.numbers))
        if len(classes) < 2:
            return mean_f1(self.numbers, found), wrong
        scores = [
            mean_f1(
                np.where(true_class == c, self.numbers, 0), np.where(found_class == c, found, 0)
            )
            for c in classes
        ]
        return float(np.mean(scores)), wrong


class _Search:
    """Compares candidates on the same images, each one once."""

    def __init__(self, cases: Sequence[_Case]) -> None:
        self._cases = cases
        self._true_objects = sum(_count(case.numbers) for case in cases)
        self._tried: dict[str, tuple[float, float]] = {}

    def f1(self, candidate: Postprocessing) -> float:
        """Return the mean F1 of the images."""
        return self._try(candidate)[0]

    def rank(self, candidate: Postprocessing) -> float:
        """Return what candidates are compared by: the F1 less half of the error of the count.

        The error is the sum over the images of the objects that are too many or too few, as a
        fraction of all true ones. Where a network is not sure that objects touch, joining them
        costs the F1 less than parting what is one, so the F1 alone finds too few objects.
        """
        f1, error = self._try(candidate)
        return f1 - error / 2

    def ascend(
        self, best: Postprocessing, ways: Sequence[_Vary], rounds: int = 1
    ) -> Postprocessing:
        """Replace each value in turn by the best of its candidates, if that is better."""
        for _ in range(rounds):
            for list_candidates in ways:
                best = max([best, *list_candidates(best)], key=self.rank)
        return best

    def _try(self, candidate: Postprocessing) -> tuple[float, float]:
        key = candidate.model_dump_json()
        if key not in self._tried:
            scores, wrong = zip(*(case.score(candidate) for case in self._cases), strict=True)
            self._tried[key] = float(np.mean(scores)), sum(wrong) / self._true_objects
        return self._tried[key]


def tune_objects(
    segmenter: Segmenter, splits: Mapping[str, SampleFolder], sizes: Sequence[int]
) -> Postprocessing:
    """Tune how a segmenter separates objects on the first split that numbers some.

    With outputs for objects it is `choose_separation`, else `choose_watershed`.

    Args:
        segmenter: Its postprocessing has the threshold and the temperature that were tuned for
            pixels.
        splits: By name, the best one for this purpose first.
        sizes: Candidates for the smallest object, 0 first.
    """
    tuned, is_learned = segmenter.postprocessing, bool(segmenter.settings.object_outputs)
    numbered = {name: _select_numbered(samples) for name, samples in splits.items()}
    name = next((name for name, samples in numbered.items() if samples), None)
    if name is None:
        _log.info("No sample numbers its objects: how they are separated was not tuned")
        return _with_untuned_seeds(tuned) if is_learned else tuned
    samples = numbered[name]
    choose = choose_separation if is_learned else choose_watershed
    chosen, score = choose(segmenter.predict_outputs, samples, samples.instances, tuned, sizes)
    first = next(iter(splits))
    note = "" if name == first else f", since no {first} image numbers any"
    kind = "the network's seeds" if is_learned else "connected pieces"
    if chosen.fitted is not None:
        kind = (
            f"a watershed with min_distance {chosen.fitted.min_distance} and min_height "
            f"{chosen.fitted.min_height:g}"
        )
    message = "Objects of the %s images: mean F1 %.3f over IoU 0.5 to 0.95 by %s%s"
    _log.info(message, name, score, kind, note)
    return chosen


def choose_separation(
    predict: Callable[[NDArray[np.generic]], NetworkOutputs],
    samples: Mapping[str, Sample],
    numbers_of: Numbers,
    tuned: Postprocessing,
    sizes: Sequence[int] = (0,),
) -> tuple[Postprocessing, float]:
    """Choose foreground threshold, seeds and smallest object by the F1 of true objects.

    The score is the mean over images of the mean F1 over IoU above 0.50, 0.55 ... 0.95; of several
    classes it is the mean over those that occur. Half of the error of the count is taken off; see
    `_Search.rank`. Starting from the threshold that was tuned for pixels, each value in turn is
    replaced by the best of its candidates while the others stay, twice over. A candidate replaces
    the present value only if it is better.

    Args:
        predict: Returns the outputs of an image, with calibrated probabilities.
        samples: Samples; of images with more than `MOST_PIXELS` together, some.
        numbers_of: The true objects.
        tuned: Has the threshold, None for more than two classes, and the temperature.
        sizes: Candidates for the smallest object, 0 first; not for more than two classes, any of
            which could belong in the place of a small object.

    Returns:
        The postprocessing and its score; that of `tuned`, and NaN, where no object is numbered.
    """
    cases = _read_cases(predict, samples, numbers_of)
    radius = _median_radius(cases)
    if radius is None:
        return _with_untuned_seeds(tuned), math.nan
    best = tuned.model_copy(
        update={"min_object_size": 0, "separation": _START, "objects": ObjectParameters()}
    )

    def vary(name: str, values: Sequence[float]) -> _Vary:
        def list_candidates(best: Postprocessing) -> list[Postprocessing]:
            assert best.separation is not None  # noqa: S101 - the start has one
            changed = [best.separation.model_copy(update={name: value}) for value in values]
            return [best.model_copy(update={"separation": value}) for value in changed]

        return list_candidates

    seeds = [
        vary("min_distance", _distances(radius)),
        vary("prominence", _PROMINENCES),
        vary("seed_threshold", _SEED_THRESHOLDS),
    ]
    search = _Search(cases)
    best = search.ascend(best, [*seeds, _vary_threshold, _vary_size(sizes)], _ROUNDS)
    return best.with_objects(None), search.f1(best)


def choose_watershed(
    predict: Callable[[NDArray[np.generic]], NetworkOutputs],
    samples: Mapping[str, Sample],
    numbers_of: Numbers,
    tuned: Postprocessing,
    sizes: Sequence[int] = (0,),
) -> tuple[Postprocessing, float]:
    """Fit a watershed by distance for a network without outputs for objects.

    First all pairs of its values are compared with connected components, at the threshold and the
    smallest object that were tuned for pixels. If none is better, these stay. Otherwise threshold,
    smallest object and both values are tuned in turn, as in `choose_separation`, whose arguments
    these are.

    Returns:
        The postprocessing, whose `fitted` is None where components are as good, and its score;
        `tuned` and NaN, where no object is numbered.
    """
    cases = _read_cases(predict, samples, numbers_of)
    radius = _median_radius(cases)
    if radius is None:
        return tuned, math.nan
    heights = sorted({max(round(part * radius, 1), 1.0) for part in _FRACTIONS_OF_RADIUS[:-1]})
    distances = _distances(radius)

    def with_watershed(best: Postprocessing, distance: int, height: float) -> Postprocessing:
        fitted = ObjectParameters(method="watershed", min_distance=distance, min_height=height)
        return best.model_copy(update={"fitted": fitted})

    def vary_distance(best: Postprocessing) -> list[Postprocessing]:
        assert best.fitted is not None  # noqa: S101 - the start has one
        return [with_watershed(best, value, best.fitted.min_height) for value in distances]

    def vary_height(best: Postprocessing) -> list[Postprocessing]:
        assert best.fitted is not None  # noqa: S101 - the start has one
        return [with_watershed(best, best.fitted.min_distance, value) for value in heights]

    search = _Search(cases)
    start = tuned.with_objects(ObjectParameters())
    pairs = [with_watershed(start, *pair) for pair in product(distances, heights)]
    best = max([start, *pairs], key=search.rank)
    if best.fitted is None:
        return tuned, search.f1(start)
    best = search.ascend(best, [_vary_threshold, _vary_size(sizes), vary_distance, vary_height])
    return best.with_objects(None), search.f1(best)


def _select_numbered(samples: SampleFolder) -> SampleFolder:
    """Return the samples that number their objects; none if there is no object in any of them."""
    known = samples.descriptions
    ids = [i for i in samples if known[i].get("has_instances")]
    return samples.select(ids if any(known[i].get("objects") for i in ids) else [])


def _with_untuned_seeds(tuned: Postprocessing) -> Postprocessing:
    return tuned.model_copy(update={"separation": _START})


def _vary_threshold(best: Postprocessing) -> list[Postprocessing]:
    if best.threshold is None:
        return []
    values = [best.threshold + step for step in _THRESHOLD_STEPS]
    return [best.model_copy(update={"threshold": value}) for value in values if 0 < value < 1]


def _vary_size(sizes: Sequence[int]) -> _Vary:
    def list_candidates(best: Postprocessing) -> list[Postprocessing]:
        if best.threshold is None:  # any of the other classes could belong in the place
            return []
        return [best.model_copy(update={"min_object_size": size}) for size in sizes]

    return list_candidates


def _count(numbers: NDArray[np.integer]) -> int:
    return int(np.count_nonzero(np.unique(numbers)))


def _median_radius(cases: Sequence[_Case]) -> float | None:
    """Return the radius of a disk as large as the median object; None without any object."""
    areas = [np.unique(c.numbers[c.numbers > 0], return_counts=True)[1] for c in cases]
    merged = np.concatenate([np.zeros(0, int), *areas])
    return float(np.sqrt(np.median(merged) / np.pi)) if merged.size else None


def _distances(radius: float) -> list[int]:
    """Return candidates for the distance of seeds: parts of the radius of the median object."""
    return sorted({max(round(part * radius), 2) for part in _FRACTIONS_OF_RADIUS})


def _read_cases(
    predict: Callable[[NDArray[np.generic]], NetworkOutputs],
    samples: Mapping[str, Sample],
    numbers_of: Numbers,
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
