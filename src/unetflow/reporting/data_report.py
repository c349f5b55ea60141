"""The data report as an HTML page: contents of the data, their problems, and how to fix them."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from unetflow.data.samples import SampleFolder
from unetflow.reporting import data_charts, data_tables
from unetflow.reporting.data_album import choose_images, class_marks, draw_album
from unetflow.reporting.html_page import SPLIT_NAMES, count_of, render

MOST_THUMBNAILS, MOST_PAIRS, MOST_ROWS = 60, 24, 500


def write_data_report(
    table: pd.DataFrame,
    quarantine: pd.DataFrame,
    duplicates: pd.DataFrame,
    leaks: pd.DataFrame,
    samples: SampleFolder,
    classes: Sequence[str],
) -> str:
    """Write the data report.

    Args:
        table: A row for each sample with the columns of the manifest: `id`, `image_bytes`,
            `height`, `width`, `channels`, `dtype`, `ignored`, `fraction_<class>`, `objects`,
            `touching`, `has_instances`, `overlap`, `group`, `split`, `fold` (-1: none) and
            `split_rule`. It may have no rows, and then needs no columns.
        quarantine: `path`, `reason` and `fix` of each file that was left out.
        duplicates: `first`, `second`, `kind`, `distance` and `correlation` of each pair of samples
            that seem to show the same.
        leaks: `kind`, `first`, `second`, `first_split` and `second_split` of each pair of samples
            that must be in one split and are not.
        samples: The samples; only those that are shown are opened.
        classes: The names of the classes, the background first.

    Returns:
        The text of an HTML page that needs no other file and no network.
    """
    context = count_problems(table, quarantine, duplicates, leaks, classes)
    listed = quarantine.head(MOST_ROWS)[["path", "reason", "fix"]].astype(str)
    context["quarantine"] = listed.set_axis(["file", "reason", "how to fix it"], axis=1)
    if len(table):
        full, pairs = data_tables.complete(table, classes), context["pairs"]
        facts = {
            "Left out": count_of(len(quarantine), "file"),
            "Leaks": count_of(sum(pair["leaks"] for pair in pairs), "pair"),
            "Suspected duplicates": count_of(len(duplicates), "pair"),
        }
        context |= {
            "full": full,
            "facts": data_tables.list_facts(full, classes) | facts,
            "tables": data_tables,
            "charts": data_charts,
            "areas": data_charts.merge_areas(full, samples),
            "intensities": data_charts.describe_intensities(full, samples),
            "marks": class_marks(classes),
            "divided": int((full.groupby("group")["split"].nunique() > 1).sum()),
            "most_pairs": MOST_PAIRS,
            "more_pairs": _pair_table(pairs[MOST_PAIRS : MOST_PAIRS + MOST_ROWS]),
        }
        context |= _show_images(full, pairs[:MOST_PAIRS], samples)
    return render("data_report.html", context)


def ask_about_classes(table: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Ask about each class whose share is unusual; the table is that of `write_data_report`."""
    if table.empty:
        return []
    return data_tables.doubt_classes(data_tables.complete(table, classes), classes)


def count_problems(
    table: pd.DataFrame,
    quarantine: pd.DataFrame,
    duplicates: pd.DataFrame,
    leaks: pd.DataFrame,
    classes: Sequence[str],
) -> dict[str, Any]:
    """Return what `data_findings.html` finds problems in; for the arguments see above."""
    counts: dict[str, Any] = {"left_out": len(quarantine), "used": len(table)}
    if table.empty:
        return counts
    parts = data_tables.by_split(table)
    columns = [f"fraction_{name}" for name in classes]
    absent = {}
    for split, part in parts.items():
        shown = part[columns].any()
        absent[split] = [name for name in classes if not shown[f"fraction_{name}"]]
    ignored = table["ignored"] >= 1
    bare = (table[columns[1:]].sum(axis=1) == 0) & ~ignored
    return counts | {
        "pairs": suspect_pairs(leaks, duplicates),
        "groups": table["group"].nunique(),
        "parts": parts,
        "empty_splits": [name for name in SPLIT_NAMES.values() if name not in parts],
        "classes": classes,
        "absent": absent,
        "forms": len(table[["channels", "dtype"]].drop_duplicates()),
        "ignored": int(ignored.sum()),
        "bare": int(bare.sum()),
        "doubts": ask_about_classes(table, classes),
        "overlapping": int((table["overlap"] > 0).sum()),
    }


def suspect_pairs(leaks: pd.DataFrame, duplicates: pd.DataFrame) -> list[dict[str, Any]]:
    """Merge leaks and duplicates so that each pair of samples occurs once.

    Args:
        leaks: `kind`, `first`, `second`.
        duplicates: `first`, `second`, `kind`, `distance`, `correlation`.

    Returns:
        The leaks, then the other duplicates, each with `first`, `second`, `kind`, `leaks`,
        `is_duplicate` (whether they do not only share a group), and the `distance` of their
        perceptual hashes and `correlation` of their pixels, None where not measured.
    """
    known = duplicates.astype(object).where(duplicates.notna(), None).to_dict("records")
    measured = {frozenset((row["first"], row["second"])): row for row in known}
    pairs: dict[frozenset[str], dict[Any, Any]] = {}
    for row in [*leaks.assign(leaks=True).to_dict("records"), *measured.values()]:
        names = frozenset((row["first"], row["second"]))
        pair = {"leaks": False, "is_duplicate": names in measured} | row
        for name in ("distance", "correlation"):
            pair[name] = measured.get(names, {}).get(name)
        pairs.setdefault(names, pair)
    return list(pairs.values())


def _show_images(
    full: pd.DataFrame, pairs: Iterable[dict[str, Any]], samples: SampleFolder
) -> dict[str, Any]:
    """Return the ids that are shown by split, and all thumbnails by id, each drawn once."""
    sheet = choose_images(full, MOST_THUMBNAILS)
    ids = [i for chosen in sheet.values() for i in chosen]
    for pair in pairs:
        ids += [pair["first"], pair["second"]]
    return {"sheet": sheet, "thumbnails": draw_album(full, samples, ids)}


def _pair_table(pairs: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return pairs that are listed without pictures."""
    return pd.DataFrame(
        {
            "first": pair["first"],
            "second": pair["second"],
            "kind": pair["kind"],
            "in different splits": "yes" if pair["leaks"] else "no",
            "correlation": "" if pair["correlation"] is None else f"{pair['correlation']:.3f}",
        }
        for pair in pairs
    )
