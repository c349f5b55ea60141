"""Scores of a segmentation over a set of images, and of Otsu's threshold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import skimage as ski
from numpy.typing import NDArray

from unetflow.config.evaluation import ScoreParameters
from unetflow.core.types import IGNORE, Label
from unetflow.data.samples import Sample
from unetflow.evaluation.charged import column_of, count_otsu_pixels, count_pixels
from unetflow.evaluation.object_counts import count_objects
from unetflow.evaluation.object_matching import (
    COLUMNS,
    ObjectNumbers,
    find_true_objects,
    judge_objects,
)
from unetflow.inference.postprocessing import Segmentation
from unetflow.instances.confidence import TruthSource
from unetflow.metrics.detection import detect_by_image
from unetflow.metrics.families import score_class
from unetflow.metrics.pixels import ChargedDice, count_by_class, count_confusion
from unetflow.metrics.ranking import RankingCounts

RankingScores = dict[str, dict[str, dict[str, float]]]
"""`value` and `error` of each score of `metrics.ranking` for each class."""


def segment_by_otsu(
    image: NDArray[np.generic], *, bright: bool, inside: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Split an image at Otsu's threshold (Otsu 1979) of its mean over the channels.

    The foreground is the brighter or the darker side; a constant image has none. The threshold is
    computed from the pixels `inside`, or all.
    """
    grey = image.mean(axis=2)
    values = grey if inside is None else grey[inside]
    if not values.size or values.min() == values.max():
        return np.zeros(grey.shape, bool)
    above: NDArray[np.bool_] = grey > ski.filters.threshold_otsu(values)
    return above if bright else ~above


def choose_otsu_side(samples: Mapping[str, Sample]) -> bool:
    """Return whether the brighter side of Otsu's threshold has the higher charged Dice.

    The validation samples are opened one at a time. Where none holds foreground, it is the brighter
    side.
    """
    bright, dark = ChargedDice(), ChargedDice()
    for sample in samples.values():
        for scores, is_bright in ((bright, True), (dark, False)):
            found = _segment_counted(sample, bright=is_bright)
            scores.add_label(sample.label, found.astype(np.uint8), 2)
    return not bright.value < dark.value


def _segment_counted(sample: Sample, *, bright: bool) -> NDArray[np.bool_]:
    """Split a sample at Otsu's threshold of its counted pixels."""
    return segment_by_otsu(sample.image, bright=bright, inside=sample.label != IGNORE)


def score_images(
    segment: Callable[[NDArray[np.generic]], Segmentation],
    samples: Mapping[str, Sample],
    classes: Sequence[str],
    settings: ScoreParameters,
    *,
    objects_of: Callable[[str], ObjectNumbers | None],
    otsu_bright: bool | None,
    truth_of_objects: TruthSource = "objects",
) -> tuple[pd.DataFrame, RankingScores, pd.DataFrame]:
    """Score a segmentation and baselines without learning on all samples.

    Args:
        segment: Segments an image; without objects, found ones are connected regions.
        samples: Opened one at a time.
        classes: The names of the classes, the background first.
        settings: Which scores.
        objects_of: Returns the numbers of a sample's true objects, by the sample's id.
        otsu_bright: Whether Otsu's foreground is the brighter side; None leaves Otsu out, which
            has only two classes.
        truth_of_objects: What the true objects are that found ones are matched with.

    Returns:
        A row for each sample, the scores of all their pixels together, and a row for each found
        object that can be compared with true ones (see `object_matching.judge_objects`), if objects
        are scored. The row of a sample has

        - `id` and the scores of the foreground (see `metrics.families`); with more than two
          classes their means over the classes of the image, and `<score>_<class>` for each class.
          Most scores are missing where the truth lacks the class;
        - the Dice of an empty mask, `background_dice`, and that of Otsu's threshold, `otsu_dice`;
        - `detected`, `false_alarm` and `foreground_score`; see `metrics.detection`;
        - the counts of pixels that these come from; see `evaluation.charged.count_pixels`;
        - the counts of objects where the sample numbers them; see `object_counts.count_objects`.
    """
    ranking = RankingCounts(len(classes))
    rows, judged = [], [pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)]
    with_objects = "instances" in settings.scores
    for sample_id, sample in samples.items():
        truth = np.asarray(sample.label)
        probabilities, found, found_objects = segment(sample.image)
        ranking.add(truth, probabilities)
        objects = objects_of(sample_id) if with_objects else None
        numbers = objects, None if found_objects is None else found_objects.numbers
        row: dict[str, Any] = {"id": sample_id}
        row |= _score_image(truth, found, classes, settings, numbers)
        row["background_dice"] = 0.0 if np.any((truth > 0) & (truth != IGNORE)) else np.nan
        counts = count_pixels(truth, found, classes)
        if otsu_bright is not None:
            by_otsu = _segment_counted(sample, bright=otsu_bright)
            row["otsu_dice"] = count_confusion(truth, by_otsu).scores()["dice"]
            counts |= count_otsu_pixels(truth, by_otsu)
        if objects is not None:
            counts |= count_objects(truth, found, classes, objects, numbers[1])
        true_objects = find_true_objects(truth, objects, truth_of_objects) if with_objects else None
        if true_objects is not None and found_objects is not None:
            judged.append(judge_objects(sample_id, truth, true_objects, found_objects, classes))
        rows.append(row | detect_by_image(truth, found, probabilities) | counts)
    of_pixels = _score_ranking(ranking, classes)
    return pd.DataFrame(rows), of_pixels, pd.concat(judged, ignore_index=True)


def _score_ranking(ranking: RankingCounts, classes: Sequence[str]) -> RankingScores:
    """Return the scores of all pixels together of each class except the background."""
    return {
        class_name: {name: asdict(score) for name, score in ranking.scores(index).items()}
        for index, class_name in enumerate(classes)
        if index
    }


def _score_image(
    truth: Label,
    found: Label,
    classes: Sequence[str],
    settings: ScoreParameters,
    objects: tuple[ObjectNumbers | None, ObjectNumbers | None],
) -> dict[str, Any]:
    """Return the scores of one image by column; `objects` are the true and the found ones."""
    scores = {
        index: score_class(truth, found, index, settings, *objects)
        for index in count_by_class(truth, found, len(classes))
    }
    names = list(next(iter(scores.values())))
    row = {name: _mean_of([known[name] for known in scores.values()]) for name in names}
    for index, class_name in enumerate(classes):
        if index and len(classes) > 2:
            known = scores.get(index, {})
            row |= {column_of(name, class_name): known.get(name, np.nan) for name in names}
    return row


def _mean_of(values: Sequence[float]) -> float:
    """Return the mean of the values that are there; NaN where none is."""
    there = [value for value in values if not np.isnan(value)]
    return float(np.mean(there)) if there else np.nan
