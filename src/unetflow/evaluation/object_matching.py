"""Found objects of an image beside the true ones: which of them match."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label
from unetflow.instances.confidence import TruthSource
from unetflow.instances.objects import Objects, find_objects
from unetflow.metrics.regions import count_overlaps

ObjectNumbers = NDArray[np.unsignedinteger]

COLUMNS = {
    "id": "string",
    "object": "int64",
    "class": "string",
    "confidence": "float64",
    "matched": "bool",
}
"""Columns of `judge_objects` and their types."""


def find_true_objects(
    label: Label, numbers: ObjectNumbers | None, truth: TruthSource
) -> ObjectNumbers | None:
    """Return the numbers of the true objects of a sample `(height, width)`; None where unknown.

    Args:
        label: `(height, width)` class indices; 255 is ignored.
        numbers: The numbers that the source gives; None where it has none.
        truth: What true objects are.
    """
    return find_objects(label).numbers if truth == "pieces" else numbers


def match_objects(
    label: Label, numbers: ObjectNumbers, objects: Objects
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Match found objects with true ones of their class, at IoU above 0.5.

    Ignored pixels are taken out of both before.

    Args:
        label: `(height, width)`, true class indices; 255 is ignored.
        numbers: `(height, width)`, the number of each pixel's true object; 0 for none.
        objects: The found objects.

    Returns:
        Which found objects have counted pixels, and which of them match a true one, each
        `(objects,)`.
    """
    found = np.where(label == IGNORE, 0, objects.numbers)
    class_of = np.append(np.uint8(0), objects.classes)
    matched = np.zeros(len(class_of), bool)
    for index in np.unique(objects.classes):
        own = np.where(class_of[found] == index, found, 0)
        overlaps = count_overlaps(np.where(label == index, numbers, 0), own)
        areas = overlaps.true_areas[overlaps.true] + overlaps.found_areas[overlaps.found]
        hits = overlaps.found[3 * overlaps.pixels > areas]  # IoU = shared / (areas - shared)
        present = np.unique(own)
        matched[present[present > 0][hits]] = True
    judged = np.bincount(found.ravel(), minlength=len(class_of)) > 0
    return judged[1:], matched[1:]


def judge_objects(
    sample_id: str, label: Label, numbers: ObjectNumbers, objects: Objects, classes: Sequence[str]
) -> pd.DataFrame:
    """Return a row for each found object of a sample that `match_objects` can judge.

    Its columns are `id`, `object` (its number), `class`, `confidence` (NaN where unknown) and
    `matched`.
    """
    judged, matched = match_objects(label, numbers, objects)
    confidence = np.full(len(judged), np.nan)
    if objects.confidence is not None:
        confidence = objects.confidence
    return pd.DataFrame(
        {
            "id": sample_id,
            "object": np.arange(1, len(judged) + 1),
            "class": objects.name_classes(classes),
            "confidence": confidence,
            "matched": matched,
        }
    )[judged].astype(COLUMNS)
