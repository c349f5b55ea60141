"""Summary of the scores of a cross-validation."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from unetflow.core.errors import InputError
from unetflow.evaluation.charged import YardstickComparison
from unetflow.evaluation.object_counts import summarise_counts
from unetflow.evaluation.summary import (
    ALL_DEFINITIONS,
    count_images,
    find_score,
    formula,
    name_measured,
    select_scores,
    summarise_pooled,
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


def summarise_folds(
    scores: pd.DataFrame,
    classes: Sequence[str],
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Summarise the scores of all images of `gather_scores`, and their spread over the folds.

    Args:
        scores: The table.
        classes: The names of the classes, the background first.
        groups: Group of each image; None where images are independent.
        seed: Seed of the intervals of the counts of objects.

    Returns:
        Plain values: `class` (the foreground's name, or the number of classes), `folds`, `images`
        and `scores`, which gives for each score `mean`, `spread`, `smallest`, `largest`, `folds`
        (the mean of each) and `definition`. `spread` and the mean of a fold are None where it has
        no such image, or only one fold has. The rest is as in `Metrics`, over all images.
    """
    compared = YardstickComparison.of(scores)
    counts, counts_by_class = summarise_counts(scores, groups, seed)
    measured = select_scores(scores)
    means = measured.groupby(scores["fold"]).mean()
    summaries = {}
    for column, values in measured.items():
        score, class_name = find_score(str(column), classes)
        spread = float(means[column].std())
        which = "" if class_name is None else f" of class '{class_name}'"
        summaries[str(column)] = {
            "mean": float(values.mean()),
            "spread": None if np.isnan(spread) else spread,
            "smallest": float(values.min()),
            "largest": float(values.max()),
            "folds": [None if np.isnan(mean) else mean for mean in means[column].tolist()],
            "definition": f"{formula(ALL_DEFINITIONS[score], which)}. Of each image once, at its "
            "own size, by the network of the fold that holds it out; `mean` is over all images, "
            "`spread` the standard deviation (n - 1) of the means of the folds.",
        }
    return {
        "class": name_measured(classes),
        "folds": len(means),
        "images": len(scores),
        "scores": summaries,
        "pooled": {name: s.model_dump() for name, s in summarise_pooled(scores, classes).items()},
        **count_images(scores),
        "yardsticks": compared.yardsticks,
        "beats_yardsticks": compared.is_better,
        "objects": None if counts is None else counts.model_dump(mode="json"),
        "objects_by_class": {n: c.model_dump(mode="json") for n, c in counts_by_class.items()},
    }
