"""Cross-validation: each image is scored once by a network that has not seen it."""

import pandas as pd

from unetflow.core.errors import InputError


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
