"""Figures of the data report."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from unetflow.reporting.data_report.intensities import Intensities
from unetflow.reporting.html.wording import SPLIT_NAMES, ordered_splits
from unetflow.visualization.figures import limit_ticks, new_figure
from unetflow.visualization.overlays import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CHANNEL_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK)
_SPLIT_COLOURS = {"train": BLUE, "validation": VERMILLION, "test": GREEN}
_CONTENT_BINS = 24


def draw_sizes(table: pd.DataFrame) -> "Figure":
    """Draw the width and height of all images; larger dots stand for more images."""
    sizes = table.groupby(["width", "height"]).size().reset_index(name="images")
    figure = new_figure(6.2, 4.2)
    axes = figure.subplots()
    axes.scatter(sizes["width"], sizes["height"], 14 * np.sqrt(sizes["images"]), BLUE, alpha=0.6)
    axes.set(xlabel="width in pixels", ylabel="height in pixels", xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    return figure


def draw_intensities(intensities: Intensities) -> "Figure":
    """Draw a line for each channel, solid for the training split and dashed for the others."""
    figure = new_figure(8.6, 3.4)
    axes = figure.subplots()
    for (name, shares), style in zip(intensities.shares.items(), ("-", "--"), strict=False):
        for channel, (row, colour) in enumerate(zip(shares, _CHANNEL_COLOURS, strict=False)):
            label = name if len(shares) == 1 else f"channel {channel + 1}, {name}"
            look: dict[str, Any] = {"baseline": None, "color": colour, "ls": style, "lw": 1.3}
            axes.stairs(np.where(row > 0, row, np.nan), intensities.edges, label=label, **look)
    axes.set(xlabel="intensity", ylabel="fraction of the pixels in a bin", yscale="log")
    axes.margins(x=0.01)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def draw_content(table: pd.DataFrame) -> "Figure":
    """Draw histograms of the foreground and the objects of the images of each split.

    Each split has its own axes, since overlapping histograms cannot be read.
    """
    splits = ordered_splits(table["split"])
    figure = new_figure(8.6, 0.7 + 1.2 * len(splits))
    grid = figure.subplots(len(splits), 2, squeeze=False, sharex="col")
    most_foreground = max(float(table["foreground"].max()), 0.01)
    most_objects = int(table["objects"].max())
    width = -(-(most_objects + 1) // _CONTENT_BINS)
    edges = (
        np.linspace(0, most_foreground, _CONTENT_BINS + 1),
        np.arange(0, most_objects + width + 1, width) - 0.5,
    )
    for row, split in zip(grid, splits, strict=True):
        chosen = table[table["split"] == split]
        for axes, column, bins in zip(row, ("foreground", "objects"), edges, strict=True):
            axes.hist(chosen[column], bins, color=_SPLIT_COLOURS[split])
            limit_ticks(axes.yaxis, 3, integer=True)
            axes.grid(alpha=0.3)
            axes.set_axisbelow(True)
        row[0].set_ylabel(SPLIT_NAMES[split] + "\nimages")
    grid[-1, 0].set_xlabel("foreground fraction of the image's pixels")
    grid[-1, 1].set_xlabel("objects in the image")
    return figure
