"""Figures of the data report, with the histogram of the intensities that one of them shows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.data.intensity import merge_histograms
from unetflow.data.samples import SampleFolder
from unetflow.reporting.data_tables import by_split
from unetflow.visualization.figures import limit_ticks, new_figure
from unetflow.visualization.overlays import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CHANNEL_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK)
_SPLIT_COLOURS = {"training": BLUE, "validation": VERMILLION, "test": GREEN}
_CONTENT_BINS = 24
_INTENSITY_BINS = 128
_SHOWN = 0.9999
"""Fraction of the pixels that the axis of intensities must reach."""
_USUAL_DEPTHS = (8, 10, 12, 14, 16)


@dataclass(frozen=True)
class Intensities:
    """Intensities of the training split and of the other splits.

    Attributes:
        edges: `(bins + 1,)`, edges of the bins.
        shares: For each part of the data, "training" and "validation and test", an array
            `(channels, bins)`: the fraction of the channel's pixels in each bin.
        lowest: Lowest value.
        highest: Highest value.
        beyond: Fraction of all pixels above the last bin.
        bits: Bits that the highest value needs; None for floats.
        depth: Bits of the data type; None for floats.
        saturated: Fraction of all pixels with the highest value, where this is the largest number
            of a usual bit depth, so that the camera may have been saturated; else None.
    """

    edges: NDArray[np.float64]
    shares: dict[str, NDArray[np.float64]]
    lowest: float
    highest: float
    beyond: float
    bits: int | None
    depth: int | None
    saturated: float | None


def describe_intensities(table: pd.DataFrame, samples: SampleFolder) -> Intensities | None:
    """Merge the stored histograms of all samples, which are read one at a time.

    Args:
        table: With the columns `id`, `split`, `channels` and `dtype`.
        samples: The samples.

    Returns:
        The intensities; None where no pixel counts.
    """
    dtypes = [np.dtype(str(name)) for name in table["dtype"].unique()]
    whole = all(np.issubdtype(dtype, np.integer) for dtype in dtypes)
    channels = int(table["channels"].max())
    training = table["split"] == "train"
    parts = {
        name: merge_histograms(samples.histogram(i) for i in table.loc[chosen, "id"])
        for name, chosen in (("training", training), ("validation and test", ~training))
    }
    every = merge_histograms(parts.values())
    if not len(every):
        return None
    values, places = np.unique(every["value"].astype(np.float64), return_inverse=True)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, places, every["count"])
    edges = _bin_edges(values, counts, whole)
    bits = max(int(values[-1]).bit_length(), 1) if whole else None
    is_limit = bits in _USUAL_DEPTHS and values[-1] == 2**bits - 1
    return Intensities(
        edges=edges,
        shares={name: _shares(part, edges, channels) for name, part in parts.items() if len(part)},
        lowest=float(values[0]),
        highest=float(values[-1]),
        beyond=float(counts[values > edges[-1]].sum() / counts.sum()),
        bits=bits,
        depth=8 * max(dtype.itemsize for dtype in dtypes) if whole else None,
        saturated=float(counts[-1] / counts.sum()) if is_limit else None,
    )


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
    parts = by_split(table)
    figure = new_figure(8.6, 0.7 + 1.2 * len(parts))
    grid = figure.subplots(len(parts), 2, squeeze=False, sharex="col")
    width = -(-(int(table["objects"].max()) + 1) // _CONTENT_BINS)
    bins = {
        "foreground": np.linspace(
            0, max(float(table["foreground"].max()), 0.01), _CONTENT_BINS + 1
        ),
        "objects": np.arange(0, int(table["objects"].max()) + width + 1, width) - 0.5,
    }
    for row, (split, part) in zip(grid, parts.items(), strict=True):
        for axes, (column, edges) in zip(row, bins.items(), strict=True):
            axes.hist(part[column], edges, color=_SPLIT_COLOURS[split])
            limit_ticks(axes.yaxis, 3, integer=True)
            axes.grid(alpha=0.3)
            axes.set_axisbelow(True)
        row[0].set_ylabel(f"{split}\nimages")
    grid[-1, 0].set_xlabel("foreground fraction of the image's pixels")
    grid[-1, 1].set_xlabel("objects in the image")
    return figure


def merge_areas(table: pd.DataFrame, samples: SampleFolder) -> NDArray[np.int64] | None:
    """Return the areas in pixels of all objects that the source numbers; None without any."""
    parts = [samples.object_areas(i) for i in table.loc[table["has_instances"].astype(bool), "id"]]
    known = [part for part in parts if part is not None and len(part)]
    return np.concatenate(known) if known else None


def draw_object_areas(areas: NDArray[np.int64]) -> "Figure":
    """Draw a histogram of the objects' areas, whose axis is logarithmic: areas differ widely."""
    figure = new_figure(8.6, 2.6)
    axes = figure.subplots()
    low, high = max(int(areas.min()), 1), int(areas.max())
    # Small areas are whole numbers that no narrower bin can tell apart.
    edges = np.unique(np.geomspace(low, high + 1, _CONTENT_BINS + 1).round()) - 0.5
    axes.hist(areas, edges.tolist(), color=BLUE)
    axes.set(xlabel="area of the object in pixels", ylabel="objects", xscale="log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    limit_ticks(axes.yaxis, 4, integer=True)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure


def _bin_edges(
    values: NDArray[np.float64], counts: NDArray[np.int64], whole: bool
) -> NDArray[np.float64]:
    """Choose at most 128 bins of equal width.

    Bins of integers hold the same number of integers, or the histogram would look like a comb. The
    axis ends before the brightest 0.01 % of the pixels where they would double its length, so that
    a few very bright pixels do not squeeze all others into the first bins.
    """
    cumulative = np.cumsum(counts)
    low = values[0]
    high = values[np.searchsorted(cumulative, _SHOWN * cumulative[-1])]
    if values[-1] - low <= 2 * (high - low):
        high = values[-1]
    if not whole:
        return np.linspace(low, high if high > low else low + 1, _INTENSITY_BINS + 1)
    width = 1
    while high // width - low // width >= _INTENSITY_BINS:
        width *= 2
    return np.arange(low // width, high // width + 2) * width - 0.5


def _shares(
    rows: NDArray[np.void], edges: NDArray[np.float64], channels: int
) -> NDArray[np.float64]:
    shares = np.zeros((channels, len(edges) - 1))
    for channel in range(channels):
        chosen = rows[rows["channel"] == channel]
        counted, _ = np.histogram(chosen["value"], edges, weights=chosen["count"])
        shares[channel] = counted / max(int(chosen["count"].sum()), 1)
    return shares
