"""Cross-validation: each image is scored once by a network that has not seen it."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from unetflow.imaging.errors import InputError
from unetflow.imaging.score_summary import find_score
from unetflow.imaging.scores import DEFINITIONS

_NOT_SCORES = ["id", "fold", "threshold"]


def count_folds(manifest: pd.DataFrame) -> int:
    """Return how many folds a manifest has.

    Raises:
        InputError: There are too few to hold one out, validate on one and train on the others.
    """
    folds = int(manifest["fold"].max()) + 1
    require_folds(folds)
    return folds


def require_folds(folds: int) -> None:
    """Refuse fewer than three folds.

    Raises:
        InputError: There are fewer.
    """
    if folds < 3:
        raise InputError(
            "ingestion.split.folds",
            f"a cross-validation needs three or more, not {folds}: one is held out, one validates "
            "and the others train",
            "Add `--params ingestion.split.folds=5`",
        )


def manifest_of_fold(manifest: pd.DataFrame, fold: int) -> pd.DataFrame:
    """Return the manifest of the training in which a fold is held out.

    The fold tests, the next one (the first one after the last) validates, that is, ends the
    training and chooses the threshold, and all others train. Folds hold whole groups, so that no
    group is on two sides. Samples that test in the manifest belong to no fold and are left out.

    Args:
        manifest: With the columns `split` and `fold`, from 0, -1 where there is none.
        fold: The fold.
    """
    validation = (fold + 1) % count_folds(manifest)
    part = manifest[manifest["fold"] >= 0]
    sides = {fold: "test", validation: "validation"}
    return part.assign(split=[sides.get(f, "train") for f in part["fold"]])


def gather_scores(tables: Sequence[pd.DataFrame], manifest: pd.DataFrame) -> pd.DataFrame:
    """Put the scores of all folds into one table, in the manifest's order.

    Args:
        tables: For each fold a row for each image, with at least `id` and `fold`.
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
            "they are not those of the images and folds in the manifest",
            "Run `kedro run --pipelines cross_validation` as a whole",
        )
    return scores.set_index("id").loc[own["id"]].reset_index()


def summarise_folds(scores: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Sum up the scores of all images, and how much they differ from fold to fold.

    Args:
        scores: As `gather_scores` makes them.
        classes: The names of the classes, the background first.

    Returns:
        Plain values: `class` (the foreground's name, or how many there are), `folds`, `images`
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
    """Say how a number was computed."""
    score, class_name = find_score(column, classes)
    definition = DEFINITIONS[score]
    which = "" if class_name is None else f" of class '{class_name}'"
    return (
        f"{definition.formula}{which}; {definition.empty}; {definition.ignored}. Of each image "
        "once, at its own size, by the network of the fold that holds it out; `mean` is over all "
        "images, `spread` the standard deviation (n - 1) of the means of the folds."
    )
