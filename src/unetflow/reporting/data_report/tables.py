"""The page's tables, their numbers already written as people read them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from unetflow.reporting.data_report.suspects import SuspectPair, suspect_pairs
from unetflow.reporting.html.tables import Table
from unetflow.reporting.html.wording import (
    SPLIT_NAMES,
    count_of,
    data_size,
    depth,
    listing,
    ordered_splits,
    percent,
)

MOST_OVERLAPS = 50


def complete(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Add what other columns say.

    Args:
        table: See `write_data_report`, with one row at least.
        classes: The names of the classes, the background first.

    Returns:
        The table with `pixels`, `counted` (pixels that are not ignored) and `foreground` (share
        of the counted pixels that are not background).
    """
    foreground = table[[f"fraction_{name}" for name in classes[1:]]].sum(axis=1)
    pixels = table["height"] * table["width"]
    return table.assign(
        pixels=pixels, counted=pixels * (1 - table["ignored"]), foreground=foreground.clip(0, 1)
    )


def facts(
    full: pd.DataFrame,
    quarantine: pd.DataFrame,
    duplicates: pd.DataFrame,
    leaks: pd.DataFrame,
    classes: Sequence[str],
) -> list[tuple[str, str]]:
    """Return what a person wants to know first, as names and values."""
    return [
        *describe_images(full, classes),
        ("Left out", count_of(len(quarantine), "file")),
        ("Leaks", count_of(sum(pair.leaks for pair in suspect_pairs(leaks, duplicates)), "pair")),
        ("Suspected duplicates", count_of(len(duplicates), "pair")),
    ]


def describe_images(full: pd.DataFrame, classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return what is known of the images as a whole, as names and values."""
    splits = [
        f"{int((full['split'] == split).sum()):,} {SPLIT_NAMES[split]}"
        for split in ordered_splits(full["split"])
    ]
    return [
        ("Images", f"{len(full):,} ({data_size(int(full['image_bytes'].sum()))})"),
        ("Sizes", _sizes(full)),
        ("Channels", " or ".join(str(number) for number in sorted(full["channels"].unique()))),
        ("Depth", " or ".join(depth(str(name)) for name in sorted(full["dtype"].unique()))),
        ("Classes", f"{len(classes)}: {listing(list(classes), most=12)}"),
        (
            "Objects",
            f"{int(full['objects'].sum()):,} (median {_median(full['objects'])} for an image)",
        ),
        ("Splits", ", ".join(splits)),
    ]


def size_table(full: pd.DataFrame) -> Table:
    """Count the images of each size, the most frequent first."""
    counts = full.groupby(["width", "height"]).size().sort_values(ascending=False, kind="stable")
    rows = [
        (f"{width} x {height}", f"{count:,}")
        for (width, height), count in zip(counts.index.tolist(), counts.tolist(), strict=True)
    ]
    return Table(("width x height", "images"), rows)


def class_table(full: pd.DataFrame, classes: Sequence[str]) -> Table:
    """Return each class's share of the counted pixels by split, and where it is absent."""
    splits = ordered_splits(full["split"])
    rows = []
    for name in classes:
        fractions = full[f"fraction_{name}"]
        held = fractions * full["counted"]
        shares = [
            float(held[full["split"] == split].sum())
            / max(float(full.loc[full["split"] == split, "counted"].sum()), 1.0)
            for split in splits
        ]
        absent = int((fractions == 0).sum())
        rows.append((name, *(percent(share) for share in shares), f"{absent:,}"))
    columns = ("class", *(SPLIT_NAMES[split] for split in splits), "absent from images")
    return Table(columns, rows)


def object_table(full: pd.DataFrame) -> Table:
    """Return the number of objects by split."""
    rows = []
    for split in ordered_splits(full["split"]):
        objects = full.loc[full["split"] == split, "objects"]
        numbers = (objects.sum(), objects.min(), objects.max(), (objects == 0).sum())
        total, fewest, most, without = (f"{int(number):,}" for number in numbers)
        rows.append((SPLIT_NAMES[split], total, _median(objects), fewest, most, without))
    columns = (
        "split",
        "objects",
        "median for an image",
        "fewest",
        "most",
        "images without objects",
    )
    return Table(columns, rows)


def overlap_table(full: pd.DataFrame) -> Table:
    """Return the images in which objects overlap, the worst first."""
    worst = full[full["overlap"] > 0].sort_values(
        ["overlap", "id"], ascending=[False, True], kind="stable"
    )
    rows = [
        (name, f"{overlap:,}", percent(overlap / pixels), f"{objects:,}")
        for name, overlap, pixels, objects in worst[["id", "overlap", "pixels", "objects"]]
        .head(MOST_OVERLAPS)
        .itertuples(index=False)
    ]
    return Table(("image", "pixels in two objects", "share of the image", "objects"), rows)


def split_table(full: pd.DataFrame) -> Table:
    """Return the number of images, groups and counted pixels by split."""
    rows = []
    for split in ordered_splits(full["split"]):
        chosen = full[full["split"] == split]
        rows.append(_split_row(SPLIT_NAMES[split], chosen, len(full)))
    rows.append(_split_row("all", full, len(full)))
    return Table(("split", "images", "share", "groups", "megapixels that count"), rows)


def fold_table(full: pd.DataFrame) -> Table | None:
    """Return the number of images and groups by fold; None where there are no folds."""
    folds = sorted(int(fold) for fold in full["fold"].unique() if fold >= 0)
    rows = [
        (str(fold), f"{int((full['fold'] == fold).sum()):,}", _groups(full[full["fold"] == fold]))
        for fold in folds
    ]
    return Table(("fold", "images", "groups"), rows) if folds else None


def split_rules(full: pd.DataFrame) -> list[tuple[str, int]]:
    """Return each rule by which images were split, and how many it split."""
    counts = full["split_rule"].value_counts()
    return [(str(rule), int(count)) for rule, count in counts.items()]


def is_each_alone(full: pd.DataFrame) -> bool:
    """Tell whether no two images are in one group."""
    return bool(full["group"].nunique() == len(full))


def quarantine_table(quarantine: pd.DataFrame, most: int) -> Table:
    """Return the first files that were left out."""
    first = quarantine.head(most)
    columns = ("path", "reason", "fix")
    cells = first[list(columns)].astype(str).to_numpy().tolist() if len(first) else []
    return Table(("file", "reason", "how to fix it"), cells, words=3)


def pair_table(pairs: Sequence[SuspectPair]) -> Table:
    """Return pairs for which there is no room for pictures."""
    rows = [
        (
            pair.first,
            pair.second,
            pair.kind,
            "yes" if pair.leaks else "no",
            "" if pair.correlation is None else f"{pair.correlation:.3f}",
        )
        for pair in pairs
    ]
    return Table(("first", "second", "kind", "in different splits", "correlation"), rows, words=4)


def _split_row(name: str, chosen: pd.DataFrame, total: int) -> tuple[str, ...]:
    return (
        name,
        f"{len(chosen):,}",
        percent(len(chosen) / total),
        _groups(chosen),
        f"{float(chosen['counted'].sum()) / 1e6:,.1f}",
    )


def _groups(chosen: pd.DataFrame) -> str:
    return f"{chosen['group'].nunique():,}"


def _sizes(full: pd.DataFrame) -> str:
    sizes = full[["width", "height"]].drop_duplicates()
    areas = sizes["width"] * sizes["height"]
    smallest, largest = (sizes.iloc[int(place)] for place in (np.argmin(areas), np.argmax(areas)))
    if len(sizes) == 1:
        return f"{smallest['width']} x {smallest['height']}"
    return (
        f"{len(sizes)}, from {smallest['width']} x {smallest['height']} "
        f"to {largest['width']} x {largest['height']}"
    )


def _median(numbers: "pd.Series[int]") -> str:
    return f"{float(numbers.median()):,g}"
