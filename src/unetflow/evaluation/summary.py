"""The scores of the test images summed up, each number with all that was done to get it."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unetflow.evaluation.scoring import Pooled, column_of
from unetflow.evaluation.significance.intervals import confidence_interval
from unetflow.metrics.definitions import Definition
from unetflow.metrics.ranking import DEFINITIONS as POOLED_DEFINITIONS
from unetflow.metrics.registry import DEFINITIONS, ScoreSettings

_REGION = "whole test images"
_RESOLUTION = "each image's own size; lengths are in its pixels"


@dataclass(frozen=True)
class Conditions:
    """Under what conditions the test images were scored.

    Attributes:
        classes: The names of the classes, the background first.
        threshold: The foreground's least probability; None where the most probable class counts.
        settings: Which scores were computed.
        minimum_object_size: Pieces of the foreground with fewer pixels were removed; 0: none.
        groups: The group of each image, such as its patient; None where each stands for itself.
        seed: Of the confidence intervals.
    """

    classes: Sequence[str]
    threshold: float | None
    settings: ScoreSettings
    minimum_object_size: int = 0
    groups: Sequence[Hashable] | None = None
    seed: int = 0


def summarise_scores(
    image_scores: pd.DataFrame, pooled: Pooled, conditions: Conditions
) -> dict[str, Any]:
    """Sum up the scores of the test images, each number with its definition.

    Args:
        image_scores: As `score_images` makes them.
        pooled: Likewise.
        conditions: Of the scoring.

    Returns:
        Plain values: `class` (the foreground's name, or how many there are), `threshold`,
        `test_images`; `scores`, which gives for each score `mean`, its 95 % confidence `interval`
        (None for a single image or group), `smallest`, `largest`, the number of `images` that
        have it, a `definition` in one sentence, and what there is to know about its
        `computation`; and `pooled`, with `value` and `error` in place of the first five.
        A class that is in no test image has no score.
    """
    described = image_scores.drop(columns="id").dropna(axis="columns", how="all")
    classes = conditions.classes
    return {
        "class": classes[1] if len(classes) == 2 else f"mean of {len(classes) - 1} classes",
        "threshold": conditions.threshold,
        "test_images": len(image_scores),
        "scores": {
            name: {
                "mean": float(values.mean()),
                "interval": _interval_of(values, conditions),
                "smallest": float(values.min()),
                "largest": float(values.max()),
                "images": int(values.count()),
                **_describe(str(name), conditions),
            }
            for name, values in described.items()
        },
        "pooled": _sum_up_pooled(pooled, conditions),
    }


def _interval_of(values: pd.Series, conditions: Conditions) -> list[float] | None:
    interval = confidence_interval(values, conditions.groups, conditions.seed)
    return None if interval is None else list(interval)


def _sum_up_pooled(pooled: Pooled, conditions: Conditions) -> dict[str, Any]:
    """Return the pooled scores, of more than two classes also their means."""
    classes = conditions.classes
    summary: dict[str, Any] = {}
    for name, definition in POOLED_DEFINITIONS.items():
        known = {class_name: scores[name] for class_name, scores in pooled.items() if scores}
        if not known:
            continue
        which = _all_of(classes, "some of the test images' pixels have")
        summary[name] = {
            key: float(np.mean([score[key] for score in known.values()]))
            for key in ("value", "error")
        } | _say(definition, _pooled_computation(which))
        if len(classes) > 2:
            for class_name, score in known.items():
                which = f"class '{class_name}' against all others"
                said = _say(definition, _pooled_computation(which))
                summary[column_of(name, class_name)] = {**score, **said}
    return summary


def _describe(column: str, conditions: Conditions) -> dict[str, Any]:
    """Say how a column of `score_images` was computed."""
    classes, threshold = conditions.classes, conditions.threshold
    decision = (
        "the most probable class of each pixel"
        if threshold is None
        else f"threshold {threshold:.3f} (chosen on validation images)"
    )
    if conditions.minimum_object_size > 1:
        decision += f", without pieces of fewer than {conditions.minimum_object_size} pixels"
    score, class_name = find_score(column, classes)
    definition = DEFINITIONS[score]
    which = _all_of(classes, "an image has or is predicted to")
    if column == "otsu_dice":
        decision = "Otsu's threshold of each image, on the side that is better in validation images"
    elif column == "background_dice":
        decision = "no threshold: nothing but background"
    elif class_name is not None:
        which = f"class '{class_name}', in images that have it or are predicted to"
    computation = {
        "taken": "image by image",
        "averaging": "mean over the test images that have the score, each counting the same",
        "interval": "95 % of a mean like this, by bootstrap over "
        + ("images" if conditions.groups is None else "groups of images"),
        "classes": which,
        "threshold": decision,
    }
    if definition is DEFINITIONS["surface_dice"]:
        computation["tolerance"] = f"{conditions.settings.surface_tolerance:g} pixels"
    return _say(definition, computation)


def _pooled_computation(which: str) -> dict[str, str]:
    return {
        "taken": "all counted pixels of all test images together",
        "averaging": "none over images",
        "classes": which,
        "threshold": "every threshold",
    }


def _say(definition: Definition, computation: Mapping[str, str]) -> dict[str, Any]:
    """Put a definition into one sentence and its parts."""
    taken, at = computation["taken"], computation["threshold"]
    return {
        "definition": f"{definition.formula}; {definition.empty}; {definition.ignored}. Taken of "
        f"{computation['classes']}, {taken}, at {at}.",
        "computation": {
            **computation,
            "empty": definition.empty,
            "background": "not a class that is scored",
            "region": f"{_REGION}; {definition.ignored}",
            "resolution": _RESOLUTION,
        },
    }


def _all_of(classes: Sequence[str], condition: str) -> str:
    if len(classes) == 2:
        return f"class '{classes[1]}'"
    return f"all classes but '{classes[0]}' that {condition}, as a mean"


def find_score(column: str, classes: Sequence[str]) -> tuple[str, str | None]:
    """Return which score a column of `score_images` holds, and of which class alone, if of one."""
    if column in ("otsu_dice", "background_dice"):
        return "dice", None
    if column in DEFINITIONS:
        return column, None
    return next(
        (score, name)
        for score in DEFINITIONS
        for name in classes
        if column == column_of(score, name)
    )
