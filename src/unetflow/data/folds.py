"""Folds of a cross-validation: each image is scored by a network that was not trained on it."""

import pandas as pd

from unetflow.core.errors import InputError


def count_folds(manifest: pd.DataFrame) -> int:
    """Return the number of folds of a manifest; see `require_folds` for the error."""
    folds = int(manifest["fold"].max()) + 1
    require_folds(folds)
    return folds


def require_folds(folds: int) -> None:
    """Raise an `InputError` if there are fewer than three folds."""
    if folds < 3:
        raise InputError(
            "ingestion.split.folds",
            f"a cross-validation needs three or more, not {folds}: one is held out, one validates "
            "and the others train",
            "Add `--params ingestion.split.folds=5`",
        )


def manifest_of_fold(manifest: pd.DataFrame, fold: int) -> pd.DataFrame:
    """Return the manifest for training with one fold held out.

    The fold becomes the test split, the next one (cyclically) the validation split and all others
    the training split. Folds consist of whole groups, so that no group is in two splits. Samples of
    the test split belong to no fold and are left out.

    Args:
        manifest: The columns `split` and `fold`, which is -1 for no fold.
        fold: The fold to hold out, from 0.
    """
    validation = (fold + 1) % count_folds(manifest)
    part = manifest[manifest["fold"] >= 0]
    splits = {fold: "test", validation: "validation"}
    return part.assign(split=[splits.get(f, "train") for f in part["fold"]])
