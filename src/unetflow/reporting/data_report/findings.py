"""What is right and wrong with the data, in sentences, each with its mend."""

from collections.abc import Iterator, Sequence

import pandas as pd

from unetflow.core.types import SPLITS
from unetflow.reporting.data_report.suspects import suspect_pairs
from unetflow.reporting.html.findings import DOUBTFUL, FINE, WRONG, Finding, worst_first
from unetflow.reporting.html.wording import SPLIT_NAMES, count_of, listing

_FEW = 20
_MANY_LEFT_OUT = 0.1


def judge(
    table: pd.DataFrame,
    quarantine: pd.DataFrame,
    duplicates: pd.DataFrame,
    leaks: pd.DataFrame,
    classes: Sequence[str],
) -> list[Finding]:
    """Judge the data, the worst first; see `write_data_report` for the arguments."""
    found = [*_judge_quarantine(len(quarantine), len(table))]
    if len(table):
        found += _judge_number(len(table))
        found += _judge_pairs(table, duplicates, leaks)
        found += _judge_splits(table)
        found += _judge_classes(table, classes)
        found += _judge_form(table)
        found += _judge_labels(table, classes)
    return worst_first(found)


def _judge_quarantine(left_out: int, used: int) -> Iterator[Finding]:
    files = count_of(left_out, "file was", "files were")
    listed = "The list below says of each how to fix it."
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


def _judge_number(used: int) -> Iterator[Finding]:
    if used < _FEW:
        yield Finding(
            DOUBTFUL,
            f"There {'is' if used == 1 else 'are'} only {count_of(used, 'image')}: much of every "
            "score will be chance.",
            f"Annotate more; {_FEW} or more are better.",
            "images",
        )


def _judge_pairs(
    table: pd.DataFrame, duplicates: pd.DataFrame, leaks: pd.DataFrame
) -> Iterator[Finding]:
    pairs = suspect_pairs(leaks, duplicates)
    same = sum(pair.leaks and pair.is_duplicate for pair in pairs)
    related = sum(pair.leaks and not pair.is_duplicate for pair in pairs)
    others = sum(not pair.leaks for pair in pairs)
    if same:
        yield Finding(
            WRONG,
            f"{count_of(same, 'pair')} of images that seem to show the same "
            f"{'lies' if same == 1 else 'lie'} in different splits: scores will look better than "
            "they are.",
            "Remove one image of each pair, or set `ingestion.split` so that they stay together.",
            "pairs",
        )
    if related:
        few_groups = table["group"].nunique() < len(SPLITS)
        yield Finding(
            DOUBTFUL if few_groups else WRONG,
            "Images of one group lie in different splits: scores will look better than they would "
            f"for a new group. {count_of(related, 'pair')} below "
            f"{'stands' if related == 1 else 'stand'} for them.",
            f"With fewer than {len(SPLITS)} groups that cannot be avoided: add images of others."
            if few_groups
            else "Set `ingestion.split` so that groups stay together.",
            "pairs",
        )
    if not same and not related:
        yield Finding(FINE, "No image is known to leak from one split into another.", "", "pairs")
    if others:
        yield Finding(
            DOUBTFUL,
            f"{count_of(others, 'more pair' if same else 'pair')} of images "
            f"{'seems' if others == 1 else 'seem'} to show the same.",
            "Look at them below; remove one of each pair if it is so.",
            "pairs",
        )


def _judge_splits(table: pd.DataFrame) -> Iterator[Finding]:
    empty = [SPLIT_NAMES[split] for split in SPLITS if not (table["split"] == split).any()]
    if empty:
        yield Finding(
            WRONG,
            f"No image is there for {listing(empty)}.",
            "Add images, or change the shares or the groups of the splits.",
            "splits",
        )


def _judge_classes(table: pd.DataFrame, classes: Sequence[str]) -> Iterator[Finding]:
    for split in SPLITS:
        chosen = table[table["split"] == split]
        absent = [c for c in classes if len(chosen) and not chosen[f"fraction_{c}"].any()]
        if absent:
            training = split == "train"
            loss = "cannot be learned" if training else "cannot be scored there"
            yield Finding(
                WRONG if training else DOUBTFUL,
                f"In the {SPLIT_NAMES[split]} images there is no {listing(absent)}, which {loss}.",
                "Annotate images that show it, or check its values in `classes`.",
                "classes",
            )


def _judge_form(table: pd.DataFrame) -> Iterator[Finding]:
    forms = table[["channels", "dtype"]].drop_duplicates()
    if len(forms) > 1:
        yield Finding(
            WRONG,
            f"The images have {len(forms)} different combinations of channels and bit depth.",
            "Convert them all to one.",
            "summary",
        )


def _judge_labels(table: pd.DataFrame, classes: Sequence[str]) -> Iterator[Finding]:
    ignored = table["ignored"] >= 1
    if ignored.any():
        yield Finding(
            DOUBTFUL,
            f"In {count_of(int(ignored.sum()), 'image')} every pixel is ignored: nothing can be "
            "learned from that.",
            "Check the values that `ignore` lists, and the masks of the region.",
            "classes",
        )
    foreground = table[[f"fraction_{name}" for name in classes[1:]]].sum(axis=1)
    bare = int(((foreground == 0) & ~ignored).sum())
    if bare:
        yield Finding(
            DOUBTFUL,
            f"{count_of(bare, 'image')} {'holds' if bare == 1 else 'hold'} nothing but "
            f"{classes[0]}.",
            "Right if there is nothing to see; if the objects were not drawn, draw them or remove "
            "the image.",
            "classes",
        )
    overlapping = int((table["overlap"] > 0).sum())
    if overlapping:
        yield Finding(
            DOUBTFUL,
            f"In {count_of(overlapping, 'image')} objects overlap; each shared pixel went to the "
            "object that was drawn last.",
            "Look at the list below; redraw the objects where that is wrong.",
            "objects",
        )
