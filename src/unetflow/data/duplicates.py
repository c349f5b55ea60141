"""Duplicate images, and leaks: duplicates or groups in more than one split.

Duplicates are found in two steps. Perceptual hashes of 64 bits, kept in the table of samples,
select the few pairs that could be copies; their thumbnails are compared. So a copy is found after
compression, conversion to 8 bit, a change of brightness or size, or a shift by a few pixels. A copy
that is mirrored, rotated or cut out of a larger image is not.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import combinations, product
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.core.types import SPLITS
from unetflow.io.image_hash import MIN_CONTRAST, NO_CONTRAST, shrink

LoadThumbnail: TypeAlias = Callable[[str], NDArray[np.uint8]]
"""A function that returns the thumbnail of an id."""

MIN_CORRELATION = 0.95
"""Correlation from which two images are nearly the same."""

_EDGE = 32  # height and width of a thumbnail
_MAX_COMPARED = 100  # images with the nearest hashes, to bound the time
_SAME = 0.999  # correlation from which shared components do not matter
_SAMPLE = 64  # images from which shared components are estimated
_MANY = 8  # whole images whose weight makes a component a shared one
_SHIFTS = tuple(product(range(-2, 3), repeat=2))


def find_duplicates(
    table: pd.DataFrame, load_thumbnail: LoadThumbnail, distance: int
) -> pd.DataFrame:
    """Find images that are identical or nearly the same.

    Of more than two that are alike, each is listed with the first one, and not with those to which
    it is already linked.

    Args:
        table: The columns `id`, `pixel_digest` and `perceptual_hash`.
        load_thumbnail: Called for ids with similar hashes and, if there are any, for up to 64
            others to estimate what many images share.
        distance: Maximum number of bits in which similar hashes differ. With 8, nearly all copies
            are found; more bits only mean more comparisons.

    Returns:
        The columns `first` and `second` (ids), `kind` ("identical pixels" or "nearly the same"),
        `distance` in bits and `correlation`.
    """
    first = table.groupby("pixel_digest", sort=False)["id"].transform("first")
    copies = table["id"] != first
    rows = [
        (original, copy, "identical pixels", 0, 1.0)
        for original, copy in zip(first[copies], table["id"][copies], strict=True)
    ]
    others = table[~copies & (table["perceptual_hash"] != NO_CONTRAST)]
    hashes = np.array([int(digits, 16) for digits in others["perceptual_hash"]], np.uint64)
    rows += _find_near(others["id"].tolist(), hashes, load_thumbnail, distance)
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
) -> Iterator[tuple[str, str, str, int, float]]:
    """Yield the rows of images that are nearly the same."""
    comparison = ThumbnailComparison(ids, load_thumbnail)
    clusters = np.arange(len(ids))
    for one in range(len(ids) - 1):
        bits = np.bitwise_count(hashes[one] ^ hashes)
        linked = clusters == clusters[one]
        linked[:one] = True  # these have already been compared with it
        near = np.flatnonzero((bits <= distance) & ~linked)
        near = np.sort(near[np.argsort(bits[near], kind="stable")[:_MAX_COMPARED]])
        for other, correlation in zip(near, comparison.correlate(one, near), strict=True):
            # An earlier one of the row may have linked the two in the meantime.
            if correlation >= MIN_CORRELATION and clusters[other] != clusters[one]:
                pair = ids[one], ids[int(other)]
                yield *pair, "nearly the same", int(bits[other]), float(correlation)
                clusters[clusters == clusters[other]] = clusters[one]


def make_thumbnail(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return a thumbnail `(32, 32)` uint8, by which images are compared.

    It is scaled to the image's own range of brightness; all 0 for an image of one value. The image
    is `(height, width, channels)` of uint8, uint16 or finite float32.
    """
    return (255 * shrink(image, _EDGE)).round().astype(np.uint8)


class ThumbnailComparison:
    """Compares images by what they do not share with many others.

    All retinal images show a bright disk in a dark frame, and all images of one camera the same
    hot pixels and shading, so that even different ones correlate. Therefore the strongest
    principal components of a sample are removed from all thumbnails before the comparison. Each is
    loaded once.
    """

    def __init__(self, ids: Sequence[str], load: LoadThumbnail) -> None:
        self._ids, self._load = ids, load
        self._loaded = np.zeros(len(ids), bool)
        self._thumbnails = np.zeros((len(ids), _EDGE**2), np.uint8)

    def correlate(self, one: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the correlation of one image with each of some others, -1 to 1."""
        if not others.size:
            return np.zeros(0)
        rows = self._get(np.concatenate([[one], others]))
        plain = rows[1:] @ rows[0]
        own = rows - (rows @ self._shared.T) @ self._shared
        return np.where(plain >= _SAME, plain, correlate_shifted(own))

    @cached_property
    def _shared(self) -> NDArray[np.float64]:
        """Components with the weight of many whole images, one in each row."""
        places = np.linspace(0, len(self._ids) - 1, min(_SAMPLE, len(self._ids)))
        sample = self._get(places.round().astype(np.intp))
        _, strengths, components = np.linalg.svd(sample, full_matrices=False)
        return np.asarray(components[strengths**2 >= _MANY])

    def _get(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return thumbnails, one in each row, of mean 0 and length 1."""
        for place in places[~self._loaded[places]]:
            self._thumbnails[place] = self._load(self._ids[place]).ravel()
            self._loaded[place] = True
        return _standardise(self._thumbnails[places].astype(np.float64))


def correlate_shifted(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of the first thumbnail with each other one at the best shift, -1 to 1.

    The shift is up to two pixels of the thumbnails, a 16th of the image, and the correlation is
    that of the overlap, 0 if one of the two has no contrast. `pictures` is `(number, 32 * 32)`.
    """
    first, others = pictures[0].reshape(_EDGE, _EDGE), pictures[1:]
    windows, overlaps = np.zeros((2, len(_SHIFTS), _EDGE, _EDGE))
    for window, overlap, (down, right) in zip(windows, overlaps, _SHIFTS, strict=True):
        part = first[_overlap(-down, -right)]
        window[_overlap(down, right)] = _standardise(part.reshape(1, -1)).reshape(part.shape)
        overlap[_overlap(down, right)] = 1
    # The window has mean 0, so that the other thumbnail's mean cancels.
    products = others @ windows.reshape(len(_SHIFTS), -1).T
    inside = overlaps.reshape(len(_SHIFTS), -1).T
    sums, squares = others @ inside, others**2 @ inside
    lengths = np.sqrt(np.clip(squares - sums**2 / inside.sum(axis=0), 0, None))
    return np.asarray(_divide(products, lengths).max(axis=1))


def _standardise(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows of mean 0 and length 1, or 0 if there is only rounding."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    return _divide(centred, np.linalg.norm(centred, axis=1, keepdims=True))


def _divide(values: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values per length, 0 where a length is due to rounding."""
    quotients = np.zeros_like(values)
    np.divide(values, lengths, out=quotients, where=lengths > MIN_CONTRAST)
    return quotients


def _overlap(down: int, right: int) -> tuple[slice, slice]:
    """Return the part of a thumbnail that overlaps with a shifted one."""
    rows, columns = (slice(max(shift, 0), _EDGE + min(shift, 0)) for shift in (down, right))
    return rows, columns
