"""Summary of the scores of a cross-validation."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from unetflow.core.errors import InputError
from unetflow.evaluation.summary import find_score
from unetflow.metrics.families import DEFINITIONS

_NOT_SCORES = ["id", "fold", "threshold"]


def gather_scores(tables: Sequence[pd.DataFrame], manifest: pd.DataFrame) -> pd.DataFrame:
    """Concatenate the scores of all folds, in the manifest's order.

    Args:
        tables: A table for each fold with a row for each image, at least `id` and `fold`.
        manifest: The manifest.

    Raises:
        InputError: The folds are not those of the manifest.
    """
    scores = pd.concat(tables, ignore_index=True)
    own = manifest.loc[manifest["fold"] >= 0, ["id", "fold"]]
    if sorted(zip(scores["id"], scores["fold"], strict=True)) != sorted(
        zip(own["id"], own["fold"], strict=True)
    ):
        raise InputError(
            "fold_scores",
            "they do not match the images and folds of the manifest",
            "Run `kedro run --pipelines cross_validation` as a whole",
        )
    return scores.set_index("id").loc[own["id"]].reset_index()


def summarise_folds(scores: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Summarise the scores of all images, and their spread over the folds.

    Args:
        scores: See `gather_scores`.
        classes: The names of the classes, the background first.

    Returns:
        Plain values: `class` (the foreground's name, or the number of classes), `folds`, `images`
        and `scores`, which gives for each score `mean`, `spread`, `smallest`, `largest`, `folds`
        (the mean of each) and `definition`.
    """
    measured = scores.drop(columns=_NOT_SCORES).dropna(axis="columns", how="all")
    means = measured.groupby(scores["fold"]).mean()
    return {
        "class": classes[1] if len(classes) == 2 else f"mean of {len(classes) - 1} classes",
        "folds": len(means),
        "images": len(scores),
        "scores": {
            str(name): {
                "mean": float(values.mean()),
                "spread": float(means[name].std()),
                "smallest": float(values.min()),
                "largest": float(values.max()),
                "folds": means[name].tolist(),
                "definition": _define(str(name), classes),
            }
            for name, values in measured.items()
        },
    }


def _define(column: str, classes: Sequence[str]) -> str:
    """Describe how a score was computed."""
    score, class_name = find_score(column, classes)
    definition = DEFINITIONS[score]
    which = "" if class_name is None else f" of class '{class_name}'"
    return (
        f"{definition.formula}{which}; {definition.empty}; {definition.ignored}. Of each image "
        "once, at its own size, by the network of the fold that holds it out; `mean` is over all "
        "images, `spread` the standard deviation (n - 1) of the means of the folds."
    )
