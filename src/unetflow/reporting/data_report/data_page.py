"""The data report as an HTML page."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from unetflow.data.samples import SampleFolder
from unetflow.reporting.data_report import data_charts, data_tables
from unetflow.reporting.data_report.album import Album, choose_images
from unetflow.reporting.data_report.class_outlines import class_marks
from unetflow.reporting.data_report.data_findings import find_problems
from unetflow.reporting.data_report.intensities import describe_intensities
from unetflow.reporting.data_report.suspects import suspect_pairs
from unetflow.reporting.html.elements import to_chart
from unetflow.reporting.html.template import render

MOST_THUMBNAILS, MOST_PAIRS, MOST_ROWS = 60, 24, 500
_MOST_SIZES = 12


def write_data_report(
    table: pd.DataFrame,
    quarantine: pd.DataFrame,
    duplicates: pd.DataFrame,
    leaks: pd.DataFrame,
    samples: SampleFolder,
    classes: Sequence[str],
    title: str = "Data report",
) -> str:
    """Write the data report: contents of the data, their problems, and how to fix them.

    Args:
        table: A row for each sample with the columns of the manifest: `id`, `image_bytes`,
            `height`, `width`, `channels`, `dtype`, `ignored`, `fraction_<class>`, `objects`,
            `has_instances`, `overlap`, `group`, `split`, `fold` (-1: none) and `split_rule`.
            It may have no rows, and then needs no columns.
        quarantine: `path`, `reason` and `fix` of each file that was left out.
        duplicates: `first`, `second`, `kind`, `distance` and `correlation` of each pair of samples
            that seem to show the same.
        leaks: `kind`, `first`, `second`, `first_split` and `second_split` of each pair of samples
            that must be in one split and are not.
        samples: The samples; only those that are shown are opened.
        classes: The names of the classes, the background first.
        title: Title of the page.

    Returns:
        The text of an HTML page that needs no other file and no network.
    """
    quarantined = data_tables.quarantine_table(quarantine, MOST_ROWS)
    context: dict[str, Any] = {
        "title": title,
        "findings": find_problems(table, quarantine, duplicates, leaks, classes),
        "quarantine": quarantined,
        "more_quarantined": len(quarantine) - len(quarantined.rows),
        "has_images": len(table) > 0,
    }
    if len(table):
        full = data_tables.complete(table, classes)
        context["facts"] = data_tables.list_data_facts(full, quarantine, duplicates, leaks, classes)
        context |= _show_images(full, leaks, duplicates, samples, classes)
        context |= _show_numbers(full, samples, classes)
    return render("data_report.html", context)


def _show_images(
    full: pd.DataFrame,
    leaks: pd.DataFrame,
    duplicates: pd.DataFrame,
    samples: SampleFolder,
    classes: Sequence[str],
) -> dict[str, Any]:
    album = Album(samples, full)
    pairs = suspect_pairs(leaks, duplicates)
    listed = pairs[MOST_PAIRS : MOST_PAIRS + MOST_ROWS]
    return {
        "sheet": {
            split: [album.find(i) for i in ids]
            for split, ids in choose_images(full, MOST_THUMBNAILS).items()
        },
        "marks": class_marks(classes),
        "any_ignored": bool((full["ignored"] > 0).any()),
        "images_of": full["split"].value_counts().to_dict(),
        "pairs": [
            (pair, album.find(pair.first), album.find(pair.second)) for pair in pairs[:MOST_PAIRS]
        ],
        "more_pairs": data_tables.pair_table(listed),
        "unlisted_pairs": len(pairs) - MOST_PAIRS - len(listed),
    }


def _show_numbers(
    full: pd.DataFrame, samples: SampleFolder, classes: Sequence[str]
) -> dict[str, Any]:
    intensities = describe_intensities(full, samples)
    sizes = data_tables.size_table(full)
    overlaps = data_tables.overlap_table(full)
    shown: dict[str, Any] = {
        "sizes": sizes,
        "size_chart": None,
        "intensities": intensities,
        "class_table": data_tables.class_table(full, classes),
        "content_chart": to_chart(
            data_charts.draw_content(full), "Histograms of foreground and objects, by split"
        ),
        "object_table": data_tables.object_table(full),
        "with_instances": int(full["has_instances"].sum()),
        "images": len(full),
        "overlaps": overlaps,
        "more_overlaps": int((full["overlap"] > 0).sum()) - len(overlaps.rows),
        "split_table": data_tables.split_table(full),
        "fold_table": data_tables.fold_table(full),
        "rules": data_tables.split_rules(full),
        "each_alone": full["group"].nunique() == len(full),
        "divided": int((full.groupby("group")["split"].nunique() > 1).sum()),
    }
    if len(sizes.rows) > _MOST_SIZES:
        text = f"{len(sizes.rows)} sizes of images, height over width"
        shown["size_chart"] = to_chart(data_charts.draw_sizes(full), text)
    if intensities:
        chart = data_charts.draw_intensities(intensities)
        shown["intensity_chart"] = to_chart(chart, "Histogram of the intensities")
    return shown
