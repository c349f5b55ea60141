"""Summaries of scores, of the test images and of a cross-validation, with their definitions."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from unetflow.config.evaluation import ScoreParameters
from unetflow.core.errors import InputError
from unetflow.evaluation.scoring import RankingScores, column_of
from unetflow.evaluation.significance import confidence_interval
from unetflow.inference.postprocessing import Postprocessing
from unetflow.metrics.families import DEFINITIONS
from unetflow.metrics.ranking import DEFINITIONS as RANKING_DEFINITIONS
from unetflow.metrics.shared import Definition


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


class RankingSummary(BaseModel):
    """One score of all pixels together, with a bound on its error; see `ScoreSummary`."""

    value: float
    error: float
    definition: str
    computation: dict[str, str]


class ScoreSummary(BaseModel):
    """One score over the `images` that have it, with the parts of its definition by name.

    The 95 % confidence interval of the mean is None for a single image or group.
    """

    mean: float
    interval: tuple[float, float] | None
    smallest: float
    largest: float
    images: int
    definition: str
    computation: dict[str, str]


class Metrics(BaseModel):
    """The scores of a segmenter by name, as `metrics.json` holds them.

    Attributes:
        measured: Name of the foreground, or how many classes the scores are means of; "class" in
            JSON.
        threshold: See `Postprocessing`.
        test_images: Number of test images.
        scores: A class that is in no test image has no score.
        pooled: Scores of all pixels together.
    """

    model_config = ConfigDict(frozen=True, serialize_by_alias=True)

    measured: str = Field(
        validation_alias=AliasChoices("class", "measured"), serialization_alias="class"
    )
    threshold: float | None
    test_images: int
    scores: dict[str, ScoreSummary]
    pooled: dict[str, RankingSummary]


def summarise_scores(
    image_scores: pd.DataFrame, ranking: RankingScores, conditions: Conditions
) -> Metrics:
    """Summarise the table and the ranking of `score_images`."""
    described = image_scores.drop(columns="id").dropna(axis="columns", how="all")
    return Metrics(
        measured=_name_measured(conditions.classes),
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
        pooled=_summarise_ranking(ranking, conditions.classes),
    )


def describe_scores(metrics: Mapping[str, Any]) -> str:
    """Return the most important scores of `Metrics` or `summarise_folds` in one line."""
    if "folds" in metrics:
        dice = metrics["scores"]["dice"]
        return (
            f"Dice {dice['mean']:.3f} (standard deviation of the folds' means {dice['spread']:.3f})"
            f" over {metrics['images']} images, each segmented by the network of "
            f"{metrics['folds']} that has not seen it"
        )
    means = {name: score["mean"] for name, score in metrics["scores"].items()}
    otsu = f" (Otsu's threshold: Dice {means['otsu_dice']:.3f})" if "otsu_dice" in means else ""
    which = metrics["class"] if metrics["threshold"] is None else f"class '{metrics['class']}'"
    return (
        f"Dice {means['dice']:.3f}, IoU {means['iou']:.3f}, precision {means['precision']:.3f}, "
        f"recall {means['recall']:.3f} of {which}, mean over {metrics['test_images']} test images"
        f"{otsu}"
    )


def _name_measured(classes: Sequence[str]) -> str:
    return classes[1] if len(classes) == 2 else f"mean of {len(classes) - 1} classes"


def _summarise_ranking(ranking: RankingScores, classes: Sequence[str]) -> dict[str, RankingSummary]:
    """Return the scores of all pixels together, with their means for more than two classes."""
    summary: dict[str, RankingSummary] = {}
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
            summary[column] = RankingSummary(
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
    score, class_name = _find_score(column, classes)
    definition = DEFINITIONS[score]
    which = _all_of(classes, "an image has or is predicted to")
    if column == "otsu_dice":
        rule = "Otsu's threshold of each image, on the side that is better in validation images"
    elif column == "background_dice":
        rule = "no threshold: nothing but background"
    elif class_name is not None:
        which = f"class '{class_name}', in images that have it or are predicted to"
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
        "definition": f"{_formula(definition)}. Taken of {computation['classes']}, "
        f"{computation['taken']}, at {computation['threshold']}.",
        "computation": {
            **computation,
            "empty": definition.empty,
            "background": "not a class that is scored",
            "region": f"whole test images; {definition.ignored}",
            "resolution": "each image's own size; lengths are in its pixels",
        },
    }


def _formula(definition: Definition, which: str = "") -> str:
    return f"{definition.formula}{which}; {definition.empty}; {definition.ignored}"


def _all_of(classes: Sequence[str], condition: str) -> str:
    if len(classes) == 2:
        return f"class '{classes[1]}'"
    return f"all classes but '{classes[0]}' that {condition}, as a mean"


def _find_score(column: str, classes: Sequence[str]) -> tuple[str, str | None]:
    """Return the score of a column of `score_images`, and its class where it is of one class."""
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


def gather_scores(tables: Sequence[pd.DataFrame], manifest: pd.DataFrame) -> pd.DataFrame:
    """Concatenate the scores of all folds of a cross-validation, in the manifest's order.

    Raises:
        InputError: The columns `id` and `fold` are not those of the manifest.
    """
    scores = pd.concat(tables, ignore_index=True)
    own = manifest.loc[manifest["fold"] >= 0, ["id", "fold"]]
    scored, expected = (sorted(zip(t["id"], t["fold"], strict=True)) for t in (scores, own))
    if scored != expected:
        raise InputError(
            "fold_scores",
            "they do not match the images and folds of the manifest",
            "Run `kedro run --pipelines cross_validation` as a whole",
        )
    return scores.set_index("id").loc[own["id"]].reset_index()


def summarise_folds(scores: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Summarise the scores of all images of `gather_scores`, and their spread over the folds.

    Returns:
        Plain values: `class` (the foreground's name, or the number of classes), `folds`, `images`
        and `scores`, which gives for each score `mean`, `spread`, `smallest`, `largest`, `folds`
        (the mean of each) and `definition`.
    """
    measured = scores.drop(columns=["id", "fold", "threshold"]).dropna(axis="columns", how="all")
    means = measured.groupby(scores["fold"]).mean()
    summaries = {}
    for column, values in measured.items():
        score, class_name = _find_score(str(column), classes)
        which = "" if class_name is None else f" of class '{class_name}'"
        summaries[str(column)] = {
            "mean": float(values.mean()),
            "spread": float(means[column].std()),
            "smallest": float(values.min()),
            "largest": float(values.max()),
            "folds": means[column].tolist(),
            "definition": f"{_formula(DEFINITIONS[score], which)}. Of each image once, at its own "
            "size, by the network of the fold that holds it out; `mean` is over all images, "
            "`spread` the standard deviation (n - 1) of the means of the folds.",
        }
    return {
        "class": _name_measured(classes),
        "folds": len(means),
        "images": len(scores),
        "scores": summaries,
    }
