"""Looking for leaks: the same picture, or nearly the same one, on two sides of a split.

Copies are found in two steps. A perceptual hash of 64 bits, kept in the table of samples, tells in
a moment which few pairs could be copies of each other; these are opened and compared. So a copy is
found after compression, conversion to 8 bit, other brightness or size, or a shift by a few pixels;
one that is mirrored, turned or cut out of a larger picture is not.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import combinations, product
from typing import TypeAlias

import imagehash
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from unetflow.imaging.splitting import SPLITS

OpenImage: TypeAlias = Callable[[str], NDArray[np.generic]]
"""Returns the image `(height, width, channels)` of an id."""

LEAST_CORRELATION = 0.95
"""Correlation from which on two pictures are nearly the same."""

_SAME = 0.999  # correlation at which it does not matter any more what all images share
_HASHED_EDGE, _COMPARED_EDGE = 64, 32
_FAINT = 1e-5  # contrast relative to brightness that is rounding, not a picture
_NO_PICTURE = "0" * 16  # the hash of an image without contrast
_SAMPLE = 64  # images from which it is learnt what many of them share
_MANY = 8
_MOST = 100  # images with the nearest hashes that one is compared with, to bound the time


def pixel_digest(image: NDArray[np.generic]) -> str:
    """Return the SHA-256 digest of an image's shape, type and pixels in hexadecimal.

    The same pixels have the same digest whatever the file format and its byte order.
    """
    pixels = np.ascontiguousarray(image, image.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype.name}".encode())
    digest.update(pixels.data)
    return digest.hexdigest()


def perceptual_hash(image: NDArray[np.generic]) -> str:
    """Return a hash that differs in few bits for pictures that look alike.

    Source: the DCT hash of N. Krawetz, "Looks Like It", as the package imagehash computes it. The
    image is shrunk first, which averages noise away, and scaled to its own range of brightness.

    Args:
        image: `(height, width, channels)` of uint8, uint16 or finite float32.

    Returns:
        64 bits as 16 hexadecimal digits; all 0 for an image of one value.
    """
    grey = (255 * _shrink(image, _HASHED_EDGE)).round().astype(np.uint8)
    return str(imagehash.phash(Image.fromarray(grey))) if grey.any() else _NO_PICTURE


def find_duplicates(table: pd.DataFrame, open_image: OpenImage, distance: int) -> pd.DataFrame:
    """Find images that are the same, or nearly the same.

    Of more than two that are alike, each is listed beside the first one, and not beside those to
    which it is linked already.

    Args:
        table: The columns `id`, `pixel_digest` and `perceptual_hash`.
        open_image: Opens an image. It is called for pairs whose hashes are near each other, and,
            if there are any, for up to 64 others to learn what many images share.
        distance: Number of bits in which near hashes differ at most. With 8, nearly all copies
            are found; more bits only mean more images to open.

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
    pictures = table[~copies & (table["perceptual_hash"] != _NO_PICTURE)]
    ids = pictures["id"].tolist()
    rows += [
        (ids[one], ids[other], "nearly the same", bits, correlation)
        for one, other, bits, correlation in _find_near(
            ids, _as_numbers(pictures["perceptual_hash"]), open_image, distance
        )
    ]
    return pd.DataFrame(rows, columns=["first", "second", "kind", "distance", "correlation"])


def find_leaks(table: pd.DataFrame, duplicates: pd.DataFrame) -> pd.DataFrame:
    """List what stands on two sides of a split.

    Args:
        table: The columns `id`, `group` and `split`.
        duplicates: What `find_duplicates` has found.

    Returns:
        The columns `kind`, `first`, `second` (ids), `first_split` and `second_split`: the
        duplicates whose splits differ, and for each group and each two splits that it is in a row
        of the kind "same group" with the first sample of either side.
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
    ids: Sequence[str], hashes: NDArray[np.uint64], open_image: OpenImage, distance: int
) -> list[tuple[int, int, int, float]]:
    """Return pairs of places in the series with their distance and correlation."""
    comparison = _Comparison(ids, open_image)
    clusters = np.arange(len(ids))
    found = []
    for one in range(len(ids) - 1):
        bits = np.bitwise_count(hashes[one] ^ hashes)
        linked = clusters == clusters[one]
        linked[:one] = True  # these have been compared with it
        near = np.flatnonzero((bits <= distance) & ~linked)
        near = np.sort(near[np.argsort(bits[near], kind="stable")[:_MOST]])
        for other, correlation in zip(near, comparison.correlate(one, near), strict=True):
            # Looked at again: an earlier one of the row may have linked the two by now.
            if correlation >= LEAST_CORRELATION and clusters[other] != clusters[one]:
                found.append((one, int(other), int(bits[other]), float(correlation)))
                clusters[clusters == clusters[other]] = clusters[one]
    return found


class _Comparison:
    """Compares pictures by what they do not share with many others.

    All pictures of an eye's background show a bright disk in a dark frame, and all of one camera
    the same hot pixels and the same shading; such pictures correlate even where they are
    different. So the strongest principal components of a sample are taken out of all pictures
    before they are compared.

    Args:
        ids: The images' ids.
        open_image: Opens an image.
    """

    def __init__(self, ids: Sequence[str], open_image: OpenImage) -> None:
        self._ids, self._open_image = ids, open_image
        self._opened = np.zeros(len(ids), bool)
        self._pictures = np.zeros((len(ids), _COMPARED_EDGE**2), np.float32)

    def correlate(self, one: int, others: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the correlation of one picture with each of some others, -1 to 1."""
        if not others.size:
            return np.zeros(0, np.float32)
        pictures = self._get(np.concatenate([[one], others]))
        plain = pictures[1:] @ pictures[0]
        own = pictures - (pictures @ self._shared.T) @ self._shared
        shifted = _correlate_shifted(own.astype(np.float32, copy=False))
        return np.where(plain >= _SAME, plain, shifted)

    @cached_property
    def _shared(self) -> NDArray[np.float32]:
        """The components with the weight of many whole pictures, one in each row."""
        places = np.linspace(0, len(self._ids) - 1, min(_SAMPLE, len(self._ids)))
        sample = self._get(places.round().astype(np.intp))
        _, strengths, components = np.linalg.svd(sample, full_matrices=False)
        strong: NDArray[np.float32] = components[strengths**2 >= _MANY]
        return strong

    def _get(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return small pictures, one in each row, of mean 0 and length 1."""
        for place in places[~self._opened[places]]:
            small = _shrink(self._open_image(self._ids[place]), _COMPARED_EDGE)
            self._pictures[place] = _standardise(small.reshape(1, -1))[0]
            self._opened[place] = True
        return self._pictures[places]


def _correlate_shifted(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the correlation of the first picture with each other one, shifted where that helps.

    The shift is up to two pixels of the small pictures, a 16th of the image.
    """
    squares = pictures.reshape(-1, _COMPARED_EDGE, _COMPARED_EDGE)
    best = np.full(len(pictures) - 1, -1, np.float32)
    for down, right in product(range(-2, 3), repeat=2):
        window = _standardise(_cut(squares[:1], -down, -right))[0]
        best = np.maximum(best, _standardise(_cut(squares[1:], down, right)) @ window)
    return best


def _cut(pictures: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """Cut pictures to where they overlap with others that are shifted; one in each row."""
    rows, columns = (
        slice(max(shift, 0), _COMPARED_EDGE + min(shift, 0)) for shift in (down, right)
    )
    return pictures[:, rows, columns].reshape(len(pictures), -1)


def _standardise(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of mean 0 and length 1, or 0 where there is only rounding."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    standardised: NDArray[np.float32] = np.divide(
        centred, lengths, out=np.zeros_like(centred), where=lengths > _FAINT
    )
    return standardised


def _shrink(image: NDArray[np.generic], edge: int) -> NDArray[np.float32]:
    """Return a square grey picture whose brightness runs from 0 to 1, all 0 without contrast.

    The range is that of nearly all its pixels, so that hot ones do not decide about it.
    """
    channels = image.shape[2]
    grey = image.astype(np.float32) @ np.full(channels, 1 / channels, np.float32)
    resized = Image.fromarray(grey).resize((edge, edge), Image.Resampling.BOX)
    small = np.asarray(resized, np.float32)
    low, high = np.percentile(small, (0.5, 99.5))
    if _is_faint(low, high):  # all that there is to see is smaller than what is left out
        low, high = small.min(), small.max()
    if _is_faint(low, high):
        return np.zeros_like(small)
    scaled: NDArray[np.float32] = np.clip((small - low) / (high - low), 0, 1)
    return scaled


def _is_faint(low: float, high: float) -> bool:
    return bool(high - low <= _FAINT * max(abs(low), abs(high)))


def _as_numbers(hashes: "pd.Series[str]") -> NDArray[np.uint64]:
    return np.array([int(digits, 16) for digits in hashes], np.uint64)
