"""Tables and facts about the data, which both reports show."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.reporting.html_page import SPLIT_NAMES, data_size, depth, listing, percent

_MOST_OVERLAPS = 50
_USUAL_MOST = 0.5
"""Share of the pixels above which a class is more likely what lies around the objects."""


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


def by_split(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each split that has any by its name on the page, training first."""
    parts = {name: table[table["split"] == split] for split, name in SPLIT_NAMES.items()}
    return {name: part for name, part in parts.items() if len(part)}


def size_table(full: pd.DataFrame) -> pd.DataFrame:
    """Count the images of each size, the most frequent first."""
    counts = full.groupby(["width", "height"]).size().sort_values(ascending=False, kind="stable")
    sizes = [f"{width} x {height}" for width, height in counts.index]
    return pd.DataFrame({"width x height": sizes, "images": counts.to_numpy()})


def class_table(full: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return each class's share of the counted pixels by split, and where it is absent."""
    rows = []
    for name in classes:
        column, row = f"fraction_{name}", {"class": name}
        for split, part in by_split(full).items():
            pixels = float((part[column] * part["counted"]).sum())
            row[split] = percent(pixels / max(float(part["counted"].sum()), 1.0))
        rows.append(row | {"absent from images": int((full[column] == 0).sum())})
    return pd.DataFrame(rows)


def split_table(full: pd.DataFrame) -> pd.DataFrame:
    """Return the number of images, groups and counted pixels by split."""
    parts = by_split(full) | {"all": full}
    return pd.DataFrame(
        {
            "split": name,
            "images": len(part),
            "share": percent(len(part) / len(full)),
            "groups": part["group"].nunique(),
            "megapixels that count": f"{float(part['counted'].sum()) / 1e6:,.1f}",
        }
        for name, part in parts.items()
    )


def fold_table(full: pd.DataFrame) -> pd.DataFrame:
    """Return the number of images and groups by fold; no rows where there are no folds."""
    groups = full[full["fold"] >= 0].groupby("fold")["group"]
    return pd.DataFrame({"images": groups.size(), "groups": groups.nunique()}).reset_index()


def object_table(full: pd.DataFrame) -> pd.DataFrame:
    """Return the number of objects by split, and how many touch where they are numbered."""
    rows = []
    for name, part in by_split(full).items():
        objects = part["objects"]
        row = {"split": name, "objects": int(objects.sum()), "mean per image": _mean(objects)}
        row |= {"median": _median(objects), "fewest": int(objects.min())}
        row |= {"most": int(objects.max()), "images without objects": int((objects == 0).sum())}
        numbered = part[part["has_instances"].astype(bool)]
        if len(numbered) and "touching" in part:
            count, touching = int(numbered["objects"].sum()), int(numbered["touching"].sum())
            row["touch another"] = f"{touching:,} ({percent(touching / max(count, 1))})"
        rows.append(row)
    return pd.DataFrame(rows).fillna("-")


def size_facts(areas: NDArray[np.integer]) -> str:
    """Return a sentence on the areas of objects in pixels; there is at least one."""
    low, median, high = (f"{float(v):,.0f}" for v in np.percentile(areas, (1, 50, 99)))
    return (
        f"They cover {int(areas.min()):,} to {int(areas.max()):,} pixels, half of them at least "
        f"{median}, and 98 % of them {low} to {high}."
    )


def class_sentences(full: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Say for each class but the background which share of the counted pixels it covers."""
    return [
        f"'{name}' covers {percent(share)} of the pixels."
        for name, share in class_shares(full, classes).items()
    ]


def doubt_classes(full: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Ask about each class but the background that covers more than half of the pixels."""
    return [
        f"'{name}' covers {percent(share)} of the pixels: is the mask the wrong way round?"
        for name, share in class_shares(full, classes).items()
        if share > _USUAL_MOST
    ]


def class_shares(full: pd.DataFrame, classes: Sequence[str]) -> dict[str, float]:
    """Return the share of each class but the background in all counted pixels; see `complete`."""
    counted = max(float(full["counted"].sum()), 1.0)
    return {
        name: float((full[f"fraction_{name}"] * full["counted"]).sum()) / counted
        for name in classes[1:]
    }


def overlap_table(full: pd.DataFrame) -> pd.DataFrame:
    """Return the images in which objects overlap, the worst first."""
    ordered = full.sort_values(["overlap", "id"], ascending=[False, True], kind="stable")
    worst = ordered[ordered["overlap"] > 0].head(_MOST_OVERLAPS)
    return pd.DataFrame(
        {
            "image": worst["id"],
            "pixels in two objects": worst["overlap"],
            "share of the image": (worst["overlap"] / worst["pixels"]).map(percent),
            "objects": worst["objects"],
        }
    )


def list_facts(full: pd.DataFrame, classes: Sequence[str]) -> dict[str, str]:
    """Return names and values that describe all images together."""
    objects = full["objects"]
    splits = [f"{len(part):,} {name}" for name, part in by_split(full).items()]
    return {
        "Images": f"{len(full):,} ({data_size(int(full['image_bytes'].sum()))})",
        "Sizes": _describe_sizes(full),
        "Channels": " or ".join(str(number) for number in sorted(full["channels"].unique())),
        "Depth": " or ".join(depth(str(name)) for name in sorted(full["dtype"].unique())),
        "Classes": f"{len(classes)}: {listing(classes, most=12)}",
        "Objects": f"{int(objects.sum()):,} (median {_median(objects)} per image)",
        "Splits": ", ".join(splits),
    }


def _describe_sizes(full: pd.DataFrame) -> str:
    sizes = full[["width", "height", "pixels"]].drop_duplicates()
    ends = sizes.iloc[[int(sizes["pixels"].argmin()), int(sizes["pixels"].argmax())]]
    smallest, largest = (f"{size.width} x {size.height}" for size in ends.itertuples())
    return smallest if len(sizes) == 1 else f"{len(sizes)}, from {smallest} to {largest}"


def _mean(numbers: "pd.Series[int]") -> str:
    return f"{float(numbers.mean()):,.1f}"


def _median(numbers: "pd.Series[int]") -> str:
    return f"{float(numbers.median()):,g}"
