"""Summary of the scores of the test images, with their definitions."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unetflow.config.evaluation import ScoreParameters
from unetflow.evaluation.charged import PixelCounts, YardstickComparison, column_of, is_count
from unetflow.evaluation.confidence_check import ConfidenceCheck
from unetflow.evaluation.metrics_file import Metrics, PooledSummary, ScoreSummary
from unetflow.evaluation.object_counts import summarise_counts
from unetflow.evaluation.scoring import RankingScores
from unetflow.evaluation.significance import confidence_interval
from unetflow.inference.postprocessing import Postprocessing
from unetflow.metrics.detection import DEFINITIONS as DETECTION_DEFINITIONS
from unetflow.metrics.detection import image_roc_auc
from unetflow.metrics.families import DEFINITIONS
from unetflow.metrics.pixels import CHARGED_DICE
from unetflow.metrics.ranking import DEFINITIONS as RANKING_DEFINITIONS
from unetflow.metrics.shared import Definition

ALL_DEFINITIONS: dict[str, Definition] = {
    **DEFINITIONS,
    **DETECTION_DEFINITIONS,
    "charged_dice": CHARGED_DICE,
}
"""The definition of each score, of one image or of all together."""


@dataclass(frozen=True)
class Conditions:
    """Conditions under which the test images were scored.

    Attributes:
        classes: Names of the classes, the background first.
        postprocessing: From probabilities to labels.
        scores: Which scores were computed.
        groups: Group of each image, such as its patient; None where images are independent.
        seed: Of the confidence intervals.
    """

    classes: Sequence[str]
    postprocessing: Postprocessing
    scores: ScoreParameters
    groups: Sequence[Hashable] | None = None
    seed: int = 0


def summarise_scores(
    image_scores: pd.DataFrame,
    ranking: RankingScores,
    conditions: Conditions,
    judged: pd.DataFrame | None = None,
) -> Metrics:
    """Summarise the tables and the ranking of `score_images`; `judged` is that of objects."""
    compared = YardstickComparison.of(image_scores)
    described = select_scores(image_scores)
    counts, counts_by_class = summarise_counts(image_scores, conditions.groups, conditions.seed)
    fitted, check = conditions.postprocessing.confidence, None
    if fitted is not None and judged is not None:
        check = ConfidenceCheck.of(judged, fitted.truth)
    return Metrics(
        measured=name_measured(conditions.classes),
        threshold=conditions.postprocessing.threshold,
        test_images=len(image_scores),
        scores={
            str(name): ScoreSummary(
                mean=float(values.mean()),
                interval=confidence_interval(values, conditions.groups, conditions.seed),
                smallest=float(values.min()),
                largest=float(values.max()),
                images=int(values.count()),
                **_describe(str(name), conditions),
            )
            for name, values in described.items()
        },
        pooled=_summarise_ranking(ranking, conditions.classes)
        | summarise_pooled(image_scores, conditions.classes),
        **count_images(image_scores),
        yardsticks=compared.yardsticks,
        beats_yardsticks=compared.is_better,
        objects=counts,
        objects_by_class=counts_by_class,
        confidence=check,
    )


def select_scores(image_scores: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `score_images` that are scores, those of the detection by image last.

    The latter are there where some images are empty and others are not. Columns without any value
    are left out.
    """
    unscored = ("id", "fold", "threshold", "detected", "false_alarm")
    columns = [str(c) for c in image_scores if c not in unscored and not is_count(str(c))]
    scores = image_scores[columns]
    detected, alarms = image_scores["detected"], image_scores["false_alarm"]
    if detected.notna().any() and alarms.notna().any():
        scores = scores.assign(image_sensitivity=detected, image_specificity=1 - alarms)
    return scores.dropna(axis="columns", how="all")


def count_images(image_scores: pd.DataFrame) -> dict[str, Any]:
    """Count the images with and without foreground, and the false alarms; see `Metrics`."""
    return {
        "images_with_foreground": int(image_scores["detected"].notna().sum()),
        "empty_images": int(image_scores["false_alarm"].notna().sum()),
        "false_alarms": int(image_scores["false_alarm"].sum()),
    }


def summarise_pooled(
    image_scores: pd.DataFrame, classes: Sequence[str]
) -> dict[str, PooledSummary]:
    """Return the scores of all images together that come from their counts of pixels."""
    counts = PixelCounts.of(image_scores)
    if not counts.classes:
        return {}
    computation = {
        "taken": "all test images together",
        "averaging": "none over images",
        "classes": _all_of(classes, "some test image has"),
        "threshold": "the final mask",
    }
    values = {"pooled_dice": float(counts.pooled_dice.mean()), "charged_dice": counts.charged_dice}
    if len(classes) > 2:
        each = zip(counts.classes, counts.pooled_dice, strict=True)
        values |= {column_of("pooled_dice", name): float(dice) for name, dice in each}
    known = image_scores.dropna(subset="foreground_score")
    holds = known["detected"].notna()
    if holds.any() and not holds.all():
        values["image_roc_auc"] = image_roc_auc(known["foreground_score"], holds.to_numpy())
    summary = {}
    for column, value in values.items():
        score, class_name = find_score(column, classes)
        part = {"classes": f"class '{class_name}'"} if class_name else {}
        if column == "image_roc_auc":
            part = {"classes": "all classes but the background", "threshold": "every threshold"}
        described = _define(ALL_DEFINITIONS[score], computation | part)
        summary[column] = PooledSummary(value=value, **described)
    return summary


def name_measured(classes: Sequence[str]) -> str:
    """Return the name of the foreground, or how many classes the scores are means of."""
    return classes[1] if len(classes) == 2 else f"mean of {len(classes) - 1} classes"


def _summarise_ranking(ranking: RankingScores, classes: Sequence[str]) -> dict[str, PooledSummary]:
    """Return the scores of all pixels together, with their means for more than two classes."""
    summary: dict[str, PooledSummary] = {}
    for name, definition in RANKING_DEFINITIONS.items():
        known = {class_name: scores[name] for class_name, scores in ranking.items() if scores}
        if not known:
            continue
        means = {
            "value": float(np.mean([score["value"] for score in known.values()])),
            "error": float(np.mean([score["error"] for score in known.values()])),
        }
        which = _all_of(classes, "some of the test images' pixels have")
        entries = [(name, which, means)]
        if len(classes) > 2:
            entries += [
                (column_of(name, class_name), f"class '{class_name}' against all others", score)
                for class_name, score in known.items()
            ]
        for column, which, score in entries:
            computation = {
                "taken": "all counted pixels of all test images together",
                "averaging": "none over images",
                "classes": which,
                "threshold": "every threshold",
            }
            summary[column] = PooledSummary(
                value=score["value"], error=score["error"], **_define(definition, computation)
            )
    return summary


def _describe(column: str, conditions: Conditions) -> dict[str, Any]:
    """Return the definition and the computation of a column of `score_images`."""
    classes, postprocessing = conditions.classes, conditions.postprocessing
    rule = "the most probable class of each pixel"
    if postprocessing.threshold is not None:
        rule = f"threshold {postprocessing.threshold:.3f} (chosen on validation images)"
    if postprocessing.min_object_size > 1:
        rule += f", without pieces of fewer than {postprocessing.min_object_size} pixels"
    score, class_name = find_score(column, classes)
    definition = ALL_DEFINITIONS[score]
    which = _all_of(classes, "an image has")
    if column == "otsu_dice":
        rule = "Otsu's threshold of each image, on the side that is better in validation images"
    elif column == "background_dice":
        rule = "no threshold: nothing but background"
    elif score in DETECTION_DEFINITIONS:
        which = "all classes but the background together"
    elif class_name is not None:
        which = f"class '{class_name}', in images that have it"
    units = "images" if conditions.groups is None else "groups of images"
    computation = {
        "taken": "image by image",
        "averaging": "mean over the test images that have the score, each counting the same",
        "interval": f"95 % of a mean like this, by bootstrap over {units}",
        "classes": which,
        "threshold": rule,
    }
    if definition is DEFINITIONS["surface_dice"]:
        computation["tolerance"] = f"{conditions.scores.surface_tolerance:g} pixels"
    return _define(definition, computation)


def _define(definition: Definition, computation: Mapping[str, str]) -> dict[str, Any]:
    """Return the definition as one sentence, and the parts of the computation."""
    return {
        "definition": f"{formula(definition)}. Taken of {computation['classes']}, "
        f"{computation['taken']}, at {computation['threshold']}.",
        "computation": {
            **computation,
            "empty": definition.empty,
            "background": "not a class that is scored",
            "region": f"whole test images; {definition.ignored}",
            "resolution": "each image's own size; lengths are in its pixels",
        },
    }


def formula(definition: Definition, which: str = "") -> str:
    """Return the parts of a definition as one text; `which` says of which class."""
    return f"{definition.formula}{which}; {definition.empty}; {definition.ignored}"


def _all_of(classes: Sequence[str], condition: str) -> str:
    if len(classes) == 2:
        return f"class '{classes[1]}'"
    return f"all classes but '{classes[0]}' that {condition}, as a mean"


def find_score(column: str, classes: Sequence[str]) -> tuple[str, str | None]:
    """Return the score of a column of `score_images`, and its class where it is of one class."""
    if column in ("otsu_dice", "background_dice"):
        return "dice", None
    if column in ALL_DEFINITIONS:
        return column, None
    return next(
        (score, name)
        for score in ALL_DEFINITIONS
        for name in classes
        if column == column_of(score, name)
    )
