"""Histogram of the intensities, with bins that suit the data type."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.data.intensity import merge_histograms
from unetflow.data.samples import SampleFolder

_MOST_BINS = 128
_SHOWN = 0.9999
"""Fraction of the pixels that the axis must reach."""
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
    """Merge the stored histograms of all samples.

    Args:
        table: With the columns `id`, `split`, `channels` and `dtype`.
        samples: The samples, whose histograms are read one at a time.

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
    values, counts = _over_channels(every)
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


def _over_channels(rows: NDArray[np.void]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the values in ascending order, and the number of pixels of each in all channels."""
    values, places = np.unique(rows["value"].astype(np.float64), return_inverse=True)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, places, rows["count"])
    return values, counts


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
        return np.linspace(low, high if high > low else low + 1, _MOST_BINS + 1)
    width = 1
    while high // width - low // width >= _MOST_BINS:
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
