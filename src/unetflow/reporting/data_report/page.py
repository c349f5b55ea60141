"""The page itself: what is known goes into the template, in the order in which people need it."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from unetflow.data.samples import SampleFolder
from unetflow.reporting.data_report import charts, tables
from unetflow.reporting.data_report.album import Album, choose_images
from unetflow.reporting.data_report.findings import judge
from unetflow.reporting.data_report.intensities import describe_intensities
from unetflow.reporting.data_report.suspects import suspect_pairs
from unetflow.reporting.data_report.thumbnails import class_marks
from unetflow.reporting.html.charts import to_chart
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
    title: str,
) -> str:
    """Write the data report: what there is, what is wrong with it, and how to fix it.

    Args:
        table: A row for each sample with the columns of the manifest: `id`, `image_bytes`,
            `height`, `width`, `channels`, `dtype`, `ignored`, `fraction_<class>`, `objects`,
            `has_instances`, `overlap`, `group`, `split`, `fold` (-1: none) and `split_rule`.
            It may have no rows, and then needs no columns.
        quarantine: `path`, `reason` and `fix` of each file that was left out.
        duplicates: `first`, `second`, `kind`, `distance` and `correlation` of each two samples
            that seem to show the same.
        leaks: `kind`, `first`, `second`, `first_split` and `second_split` of each two samples
            that should be in one split and are not.
        samples: The samples; only those that are shown are opened.
        classes: The names of the classes, the background first.
        title: The page's title.

    Returns:
        The text of an HTML page that needs no other file and no network.
    """
    quarantined = tables.quarantine_table(quarantine, MOST_ROWS)
    context: dict[str, Any] = {
        "title": title,
        "findings": judge(table, quarantine, duplicates, leaks, classes),
        "quarantine": quarantined,
        "more_quarantined": len(quarantine) - len(quarantined.rows),
        "has_images": len(table) > 0,
    }
    if len(table):
        full = tables.complete(table, classes)
        context["facts"] = tables.facts(full, quarantine, duplicates, leaks, classes)
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
    """Return what the thumbnail sheet and the pairs side by side need."""
    album = Album(samples, full)
    pairs = suspect_pairs(leaks, duplicates)
    listed = pairs[MOST_PAIRS : MOST_PAIRS + MOST_ROWS]
    return {
        "sheet": {
            split: [album.open(i) for i in ids]
            for split, ids in choose_images(full, MOST_THUMBNAILS).items()
        },
        "marks": class_marks(classes),
        "any_ignored": bool((full["ignored"] > 0).any()),
        "images_of": full["split"].value_counts().to_dict(),
        "pairs": [
            (pair, album.find(pair.first), album.find(pair.second)) for pair in pairs[:MOST_PAIRS]
        ],
        "more_pairs": tables.pair_table(listed),
        "unlisted_pairs": len(pairs) - MOST_PAIRS - len(listed),
    }


def _show_numbers(
    full: pd.DataFrame, samples: SampleFolder, classes: Sequence[str]
) -> dict[str, Any]:
    """Return the tables and the figures."""
    intensities = describe_intensities(full, samples)
    sizes = tables.size_table(full)
    many_sizes = len(sizes.rows) > _MOST_SIZES
    overlaps = tables.overlap_table(full)
    return {
        "sizes": None if many_sizes else sizes,
        "size_chart": to_chart(
            charts.draw_sizes(full), f"{len(sizes.rows)} sizes of images, height over width"
        )
        if many_sizes
        else None,
        "intensities": intensities,
        "intensity_chart": to_chart(
            charts.draw_intensities(intensities), "Histogram of the intensities"
        )
        if intensities
        else None,
        "class_table": tables.class_table(full, classes),
        "content_chart": to_chart(
            charts.draw_content(full), "Histograms of foreground share and objects, by split"
        ),
        "object_table": tables.object_table(full),
        "told_apart": int(full["has_instances"].sum()),
        "images": len(full),
        "overlaps": overlaps,
        "more_overlaps": int((full["overlap"] > 0).sum()) - len(overlaps.rows),
        "split_table": tables.split_table(full),
        "fold_table": tables.fold_table(full),
        "rules": tables.split_rules(full),
        "lone": tables.is_each_alone(full),
        "divided": int((full.groupby("group")["split"].nunique() > 1).sum()),
    }
