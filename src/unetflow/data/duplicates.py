"""Duplicate images, and leaks: duplicates or groups in more than one split.

Duplicates are found in two steps. Perceptual hashes of 64 bits, kept in the table of samples,
select the few pairs that could be copies; their thumbnails are compared. So a copy is found after
compression, conversion to 8 bit, a change of brightness or size, or a shift by a few pixels. A copy
that is mirrored, rotated or cut out of a larger image is not.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.core.types import SPLITS
from unetflow.data.similarity import LoadThumbnail, ThumbnailComparison
from unetflow.io.image_hash import NO_CONTRAST

MIN_CORRELATION = 0.95
"""Correlation from which two images are nearly the same."""

_MAX_COMPARED = 100  # images with the nearest hashes, to bound the time


def find_duplicates(
    table: pd.DataFrame, load_thumbnail: LoadThumbnail, distance: int
) -> pd.DataFrame:
    """Find images that are identical or nearly the same.

    Of more than two that are alike, each is listed with the first one, and not with those to which
    it is already linked.

    Args:
        table: The columns `id`, `pixel_digest` and `perceptual_hash`.
        load_thumbnail: Returns the thumbnail of an id. It is called for pairs with similar hashes
            and, if there are any, for up to 64 others to estimate what many images share.
        distance: Maximum number of bits in which similar hashes differ. With 8, nearly all copies
            are found; more bits only mean more comparisons.

    Returns:
        The columns `first` and `second` (ids), `kind` ("identical pixels" or "nearly the same"),
        `distance` in bits and `correlation`.
    """
    first = table.groupby("pixel_digest", sort=False)["id"].transform("first")
    copies = table["id"] != first
    rows: list[tuple[str, str, str, int, float]] = [
        (original, copy, "identical pixels", 0, 1.0)
        for original, copy in zip(first[copies], table["id"][copies], strict=True)
    ]
    others = table[~copies & (table["perceptual_hash"] != NO_CONTRAST)]
    ids = others["id"].tolist()
    hashes = np.array([int(digits, 16) for digits in others["perceptual_hash"]], np.uint64)
    rows += [
        (ids[one], ids[other], "nearly the same", bits, correlation)
        for one, other, bits, correlation in _find_near(ids, hashes, load_thumbnail, distance)
    ]
    return pd.DataFrame(rows, columns=["first", "second", "kind", "distance", "correlation"])


def find_leaks(table: pd.DataFrame, duplicates: pd.DataFrame) -> pd.DataFrame:
    """List duplicates and groups that are in more than one split.

    Args:
        table: The columns `id`, `group` and `split`.
        duplicates: The result of `find_duplicates`.

    Returns:
        The columns `kind`, `first`, `second` (ids), `first_split` and `second_split`: the
        duplicates whose splits differ, and for each group and each two splits that it is in, a
        row of the kind "same group" with the first sample of each split.
    """
    split_of = dict(zip(table["id"], table["split"], strict=True))
    rows = [
        (pair.kind, pair.first, pair.second)
        for pair in duplicates.itertuples()
        if pair.first in split_of and pair.second in split_of
    ]
    firsts = table.drop_duplicates(["group", "split"])
    for _, sides in firsts.groupby("group", sort=False):
        ordered = sorted(sides["id"], key=lambda i: SPLITS.index(split_of[i]))
        rows += [("same group", *pair) for pair in combinations(ordered, 2)]
    leaks = [(*row, split_of[row[1]], split_of[row[2]]) for row in rows]
    return pd.DataFrame(
        [leak for leak in leaks if leak[-1] != leak[-2]],
        columns=["kind", "first", "second", "first_split", "second_split"],
    )


def _find_near(
    ids: Sequence[str], hashes: NDArray[np.uint64], load_thumbnail: LoadThumbnail, distance: int
) -> list[tuple[int, int, int, float]]:
    """Return pairs of positions in the series with their distance and correlation."""
    comparison = ThumbnailComparison(ids, load_thumbnail)
    clusters = np.arange(len(ids))
    found = []
    for one in range(len(ids) - 1):
        bits = np.bitwise_count(hashes[one] ^ hashes)
        linked = clusters == clusters[one]
        linked[:one] = True  # these have already been compared with it
        near = np.flatnonzero((bits <= distance) & ~linked)
        near = np.sort(near[np.argsort(bits[near], kind="stable")[:_MAX_COMPARED]])
        for other, correlation in zip(near, comparison.correlate(one, near), strict=True):
            # An earlier one of the row may have linked the two in the meantime.
            if correlation >= MIN_CORRELATION and clusters[other] != clusters[one]:
                found.append((one, int(other), int(bits[other]), float(correlation)))
                clusters[clusters == clusters[other]] = clusters[one]
    return found
