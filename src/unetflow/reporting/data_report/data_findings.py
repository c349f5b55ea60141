"""Findings about the data, each with its fix."""

from collections.abc import Iterator, Sequence

import pandas as pd

from unetflow.core.types import SPLITS
from unetflow.reporting.data_report.suspects import suspect_pairs
from unetflow.reporting.html.elements import DOUBTFUL, FINE, WRONG, Finding, worst_first
from unetflow.reporting.html.wording import SPLIT_NAMES, count_of, listing

_FEW = 20
_MANY_LEFT_OUT = 0.1


def find_problems(
    table: pd.DataFrame,
    quarantine: pd.DataFrame,
    duplicates: pd.DataFrame,
    leaks: pd.DataFrame,
    classes: Sequence[str],
) -> list[Finding]:
    """Return the findings, the worst first; see `write_data_report` for the arguments."""
    found = [*_check_quarantine(len(quarantine), len(table))]
    if len(table):
        found += _check_number(len(table))
        found += _check_pairs(table, duplicates, leaks)
        found += _check_splits(table)
        found += _check_classes(table, classes)
        found += _check_form(table)
        found += _check_labels(table, classes)
    return worst_first(found)


def _check_quarantine(left_out: int, used: int) -> Iterator[Finding]:
    files = count_of(left_out, "file was", "files were")
    listed = "The list below gives the fix for each."
    if left_out and not used:
        yield Finding(WRONG, f"No image can be used: {files} left out.", listed, "quarantine")
    elif left_out:
        many = left_out > _MANY_LEFT_OUT * (left_out + used)
        yield Finding(WRONG if many else DOUBTFUL, f"{files} left out.", listed, "quarantine")
    elif used:
        yield Finding(FINE, "No file was left out.", "", "quarantine")
    else:
        fix = "Correct the path in the catalog, then run the ingestion again."
        yield Finding(WRONG, "No image was found.", fix, "quarantine")


def _check_number(used: int) -> Iterator[Finding]:
    if used < _FEW:
        images = f"{'is' if used == 1 else 'are'} only {count_of(used, 'image')}"
        text = f"There {images}, so that scores depend much on chance."
        yield Finding(DOUBTFUL, text, f"Annotate at least {_FEW} images.", "images")


def _check_pairs(
    table: pd.DataFrame, duplicates: pd.DataFrame, leaks: pd.DataFrame
) -> Iterator[Finding]:
    pairs = suspect_pairs(leaks, duplicates)
    same = sum(pair.leaks and pair.is_duplicate for pair in pairs)
    related = sum(pair.leaks and not pair.is_duplicate for pair in pairs)
    others = sum(not pair.leaks for pair in pairs)
    if same:
        lie = "lies" if same == 1 else "lie"
        yield Finding(
            WRONG,
            f"{count_of(same, 'pair')} of images that seem to show the same {lie} in different "
            "splits, so that the scores will be too high.",
            "Remove one image of each pair, or set `ingestion.split` so that they stay together.",
            "pairs",
        )
    if related:
        few_groups = table["group"].nunique() < len(SPLITS)
        yield Finding(
            DOUBTFUL if few_groups else WRONG,
            "Images of one group lie in different splits, so that the scores will be higher than "
            f"those of a new group. Examples: {count_of(related, 'pair')} below.",
            f"This cannot be avoided with fewer than {len(SPLITS)} groups: add images of others."
            if few_groups
            else "Set `ingestion.split` so that groups stay together.",
            "pairs",
        )
    if not same and not related:
        yield Finding(FINE, "No leak between the splits is known.", "", "pairs")
    if others:
        seem = "seems" if others == 1 else "seem"
        yield Finding(
            DOUBTFUL,
            f"{count_of(others, 'more pair' if same else 'pair')} of images {seem} to show the "
            "same.",
            "Compare them below; remove one image of each pair of duplicates.",
            "pairs",
        )


def _check_splits(table: pd.DataFrame) -> Iterator[Finding]:
    empty = [SPLIT_NAMES[split] for split in SPLITS if not (table["split"] == split).any()]
    if empty:
        fix = "Add images, or change the fractions or the groups of the splits."
        yield Finding(WRONG, f"There is no image for {listing(empty)}.", fix, "splits")


def _check_classes(table: pd.DataFrame, classes: Sequence[str]) -> Iterator[Finding]:
    for split in SPLITS:
        chosen = table[table["split"] == split]
        absent = [c for c in classes if len(chosen) and not chosen[f"fraction_{c}"].any()]
        if absent:
            training = split == "train"
            loss = "cannot be learned" if training else "cannot be scored there"
            yield Finding(
                WRONG if training else DOUBTFUL,
                f"The {SPLIT_NAMES[split]} images contain no {listing(absent)}, which {loss}.",
                "Annotate images that show it, or check its values in `classes`.",
                "classes",
            )


def _check_form(table: pd.DataFrame) -> Iterator[Finding]:
    forms = len(table[["channels", "dtype"]].drop_duplicates())
    if forms > 1:
        text = f"The images have {forms} different combinations of channels and bit depth."
        yield Finding(WRONG, text, "Convert all images to one of them.", "summary")


def _check_labels(table: pd.DataFrame, classes: Sequence[str]) -> Iterator[Finding]:
    ignored = table["ignored"] >= 1
    if ignored.any():
        yield Finding(
            DOUBTFUL,
            f"In {count_of(int(ignored.sum()), 'image')} every pixel is ignored, so that nothing "
            "can be learned from it.",
            "Check the values that `ignore` lists, and the masks of the region.",
            "classes",
        )
    foreground = table[[f"fraction_{name}" for name in classes[1:]]].sum(axis=1)
    bare = int(((foreground == 0) & ~ignored).sum())
    if bare:
        contain = "contains" if bare == 1 else "contain"
        yield Finding(
            DOUBTFUL,
            f"{count_of(bare, 'image')} {contain} only {classes[0]}.",
            "This is right if there is no object; otherwise draw the objects, or remove the image.",
            "classes",
        )
    overlapping = int((table["overlap"] > 0).sum())
    if overlapping:
        yield Finding(
            DOUBTFUL,
            f"In {count_of(overlapping, 'image')} objects overlap; each shared pixel belongs to "
            "the object that was drawn last.",
            "Check the list below; redraw the objects where that is wrong.",
            "objects",
        )
