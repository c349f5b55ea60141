"""Tables and facts of the data report, as formatted text."""

from collections.abc import Sequence

import pandas as pd

from unetflow.reporting.data_report.suspects import SuspectPair, suspect_pairs
from unetflow.reporting.html.elements import Table
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
    """Add derived columns.

    Args:
        table: See `write_data_report`, with at least one row.
        classes: The names of the classes, the background first.

    Returns:
        The table with `pixels`, `counted` (pixels that are not ignored) and `foreground` (fraction
        of the counted pixels that are not background).
    """
    foreground = table[[f"fraction_{name}" for name in classes[1:]]].sum(axis=1)
    pixels = table["height"] * table["width"]
    return table.assign(
        pixels=pixels, counted=pixels * (1 - table["ignored"]), foreground=foreground.clip(0, 1)
    )


def list_data_facts(
    full: pd.DataFrame,
    quarantine: pd.DataFrame,
    duplicates: pd.DataFrame,
    leaks: pd.DataFrame,
    classes: Sequence[str],
) -> list[tuple[str, str]]:
    """Return the names and values of the summary."""
    return [
        *describe_images(full, classes),
        ("Left out", count_of(len(quarantine), "file")),
        ("Leaks", count_of(sum(pair.leaks for pair in suspect_pairs(leaks, duplicates)), "pair")),
        ("Suspected duplicates", count_of(len(duplicates), "pair")),
    ]


def describe_images(full: pd.DataFrame, classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return names and values that describe all images together."""
    objects = full["objects"]
    splits = [f"{len(chosen):,} {name}" for name, chosen in _by_split(full)]
    return [
        ("Images", f"{len(full):,} ({data_size(int(full['image_bytes'].sum()))})"),
        ("Sizes", _describe_sizes(full)),
        ("Channels", " or ".join(str(number) for number in sorted(full["channels"].unique()))),
        ("Depth", " or ".join(depth(str(name)) for name in sorted(full["dtype"].unique()))),
        ("Classes", f"{len(classes)}: {listing(list(classes), most=12)}"),
        ("Objects", f"{int(objects.sum()):,} (median {_median(objects)} per image)"),
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
    splits = _by_split(full)
    rows = []
    for name in classes:
        column = f"fraction_{name}"
        shares = [
            float((chosen[column] * chosen["counted"]).sum())
            / max(float(chosen["counted"].sum()), 1.0)
            for _, chosen in splits
        ]
        absent = int((full[column] == 0).sum())
        rows.append((name, *(percent(share) for share in shares), f"{absent:,}"))
    return Table(("class", *(name for name, _ in splits), "absent from images"), rows)


def object_table(full: pd.DataFrame) -> Table:
    """Return the number of objects by split."""
    rows = []
    for name, chosen in _by_split(full):
        objects = chosen["objects"]
        numbers = (objects.sum(), objects.min(), objects.max(), (objects == 0).sum())
        total, fewest, most, without = (f"{int(number):,}" for number in numbers)
        rows.append((name, total, _median(objects), fewest, most, without))
    columns = ("split", "objects", "median per image", "fewest", "most", "images without objects")
    return Table(columns, rows)


def overlap_table(full: pd.DataFrame) -> Table:
    """Return the images in which objects overlap, the worst first."""
    worst = full[full["overlap"] > 0].sort_values(
        ["overlap", "id"], ascending=[False, True], kind="stable"
    )
    rows = [
        (
            row["id"],
            f"{row['overlap']:,}",
            percent(row["overlap"] / row["pixels"]),
            f"{row['objects']:,}",
        )
        for row in worst.head(MOST_OVERLAPS).to_dict("records")
    ]
    return Table(("image", "pixels in two objects", "share of the image", "objects"), rows)


def split_table(full: pd.DataFrame) -> Table:
    """Return the number of images, groups and counted pixels by split."""
    rows = [
        (
            name,
            f"{len(chosen):,}",
            percent(len(chosen) / len(full)),
            f"{chosen['group'].nunique():,}",
            f"{float(chosen['counted'].sum()) / 1e6:,.1f}",
        )
        for name, chosen in (*_by_split(full), ("all", full))
    ]
    return Table(("split", "images", "share", "groups", "megapixels that count"), rows)


def fold_table(full: pd.DataFrame) -> Table | None:
    """Return the number of images and groups by fold; None where there are no folds."""
    rows = [
        (str(fold), f"{len(chosen):,}", f"{chosen['group'].nunique():,}")
        for fold, chosen in full[full["fold"] >= 0].groupby("fold")
    ]
    return Table(("fold", "images", "groups"), rows) if rows else None


def split_rules(full: pd.DataFrame) -> list[tuple[str, int]]:
    """Return each rule by which images were split, and the number of its images."""
    counts = full["split_rule"].value_counts()
    return [(str(rule), int(count)) for rule, count in counts.items()]


def quarantine_table(quarantine: pd.DataFrame, most: int) -> Table:
    """Return the first files that were left out."""
    first = quarantine.head(most)
    columns = ["path", "reason", "fix"]
    cells = first[columns].astype(str).to_numpy().tolist() if len(first) else []
    return Table(("file", "reason", "how to fix it"), cells, words=3)


def pair_table(pairs: Sequence[SuspectPair]) -> Table:
    """Return pairs that are listed without pictures."""
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


def _by_split(full: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the name and the rows of each split that has images."""
    return [
        (SPLIT_NAMES[split], full[full["split"] == split])
        for split in ordered_splits(full["split"])
    ]


def _describe_sizes(full: pd.DataFrame) -> str:
    sizes = full[["width", "height"]].drop_duplicates()
    areas = sizes["width"] * sizes["height"]
    smallest, largest = (
        f"{sizes.iloc[place]['width']} x {sizes.iloc[place]['height']}"
        for place in (int(areas.argmin()), int(areas.argmax()))
    )
    return smallest if len(sizes) == 1 else f"{len(sizes)}, from {smallest} to {largest}"


def _median(numbers: "pd.Series[int]") -> str:
    return f"{float(numbers.median()):,g}"
