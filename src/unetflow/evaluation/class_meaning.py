"""Whether the classes of a data set mean what they meant to the champion."""

import pandas as pd

from unetflow.core.errors import InputError

_PIXELS = ["pixel_digest", "mask_sha256"]
"""What a pair is known by: the pages of a stack have the digests of its files in common."""
_MAX_ROUNDING = 1e-6
_NEARLY, _FEWEST_EXCHANGED = 0.02, 3


def keep_meaning(manifest: pd.DataFrame, before: pd.DataFrame) -> None:
    """Check that the classes mean what they meant to the champion, which has the same names.

    The masks of both manifests are compared by their classes' fractions: those of unchanged files
    must be the same, and those of two classes must not have been exchanged in the other files.

    Raises:
        InputError: They mean something else, so that the two models cannot be compared.
    """
    columns = [name for name in manifest if str(name).startswith("fraction_") and name in before]
    files = [part.drop_duplicates(_PIXELS, keep=False) for part in (manifest, before)]
    both = files[0].merge(files[1], on="pixel_digest", suffixes=("", "_before"))
    is_same = both["mask_sha256"] == both["mask_sha256_before"]
    now, then = (
        both[columns],
        both[[f"{name}_before" for name in columns]].set_axis(columns, axis=1),
    )
    changed = is_same & ((now - then).abs().max(axis=1) > _MAX_ROUNDING)
    what, rows = "unchanged masks", is_same
    if not changed.any():
        what, rows = "changed masks of the same images", ~is_same
        if not _are_exchanged(now[rows], then[rows]):
            return
    shares, earlier = now[rows].mean(), then[rows].mean()
    worst = str((shares - earlier).abs().iloc[1:].idxmax())
    raise InputError(
        "classes",
        f"'{worst.removeprefix('fraction_')}' covers {shares[worst]:.1%} of the pixels of "
        f"{int(rows.sum())} {what}, and {earlier[worst]:.1%} when the champion was trained: the "
        "same name has a new meaning, and scores of the two cannot be compared",
        "Restore the values in `classes` and `ingestion.masks`, or the masks; if the new meaning "
        "is right, give it a `registered_model` of its own in conf/",
    )


def _are_exchanged(now: pd.DataFrame, then: pd.DataFrame) -> bool:
    """Return whether each of two classes has the share of the other one in most of the masks."""
    if now.shape[1] != 2 or len(now) < _FEWEST_EXCHANGED:
        return False
    first, second = now.iloc[:, 1], then.iloc[:, 1]
    exchanged = ((first + second - 1).abs() < _NEARLY) & ((first - second).abs() > 2 * _NEARLY)
    return bool(exchanged.mean() > 0.5)
