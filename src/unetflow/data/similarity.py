"""Thumbnails of images and the correlation between them."""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.io.image_hash import MIN_CONTRAST, shrink

LoadThumbnail: TypeAlias = Callable[[str], NDArray[np.uint8]]
"""A function that returns the thumbnail of an id."""

EDGE = 32
"""Height and width of a thumbnail."""

_SAME = 0.999  # correlation from which shared components do not matter
_SAMPLE = 64  # images from which shared components are estimated
_MANY = 8  # whole images whose weight makes a component a shared one
_SHIFTS = tuple(product(range(-2, 3), repeat=2))


def make_thumbnail(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return a thumbnail, by which images are compared.

    Args:
        image: `(height, width, channels)` of uint8, uint16 or finite float32.

    Returns:
        `(32, 32)` uint8, scaled to the image's own range of brightness; all 0 for an image of one
        value.
    """
    return (255 * shrink(image, EDGE)).round().astype(np.uint8)


class ThumbnailComparison:
    """Compares images by what they do not share with many others.

    All retinal images show a bright disk in a dark frame, and all images of one camera the same
    hot pixels and shading, so that even different ones correlate. Therefore the strongest
    principal components of a sample are removed from all thumbnails before the comparison.

    Args:
        ids: The images' ids.
        load: Returns the thumbnail of an id; called once for each.
    """

    def __init__(self, ids: Sequence[str], load: LoadThumbnail) -> None:
        self._ids, self._load = ids, load
        self._loaded = np.zeros(len(ids), bool)
        self._thumbnails = np.zeros((len(ids), EDGE**2), np.uint8)

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
        strong: NDArray[np.float64] = components[strengths**2 >= _MANY]
        return strong

    def _get(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return thumbnails, one in each row, of mean 0 and length 1."""
        for place in places[~self._loaded[places]]:
            self._thumbnails[place] = self._load(self._ids[place]).ravel()
            self._loaded[place] = True
        return _standardise(self._thumbnails[places].astype(np.float64))


def correlate_shifted(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of the first thumbnail with each other one at the best shift.

    The shift is up to two pixels of the thumbnails, a 16th of the image, and the correlation is
    that of the overlap.

    Args:
        pictures: `(number, 32 * 32)`, one in each row.

    Returns:
        `(number - 1,)`, -1 to 1; 0 if one of the two has no contrast.
    """
    first, others = pictures[0].reshape(EDGE, EDGE), pictures[1:]
    windows = np.zeros((len(_SHIFTS), EDGE, EDGE))
    for number, (down, right) in enumerate(_SHIFTS):
        part = _overlap(-down, -right)
        window = _standardise(first[part].reshape(1, -1)).reshape(first[part].shape)
        windows[number][_overlap(down, right)] = window
    # The window has mean 0, so that the other thumbnail's mean cancels.
    products = others @ windows.reshape(len(_SHIFTS), -1).T
    sums, squares = others @ _WINDOWS, others**2 @ _WINDOWS
    lengths = np.sqrt(np.clip(squares - sums**2 / _WINDOWS.sum(axis=0), 0, None))
    correlations: NDArray[np.float64] = np.divide(
        products, lengths, out=np.zeros_like(products), where=lengths > MIN_CONTRAST
    ).max(axis=1)
    return correlations


def _standardise(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows of mean 0 and length 1, or 0 if there is only rounding."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    standardised: NDArray[np.float64] = np.divide(
        centred, lengths, out=np.zeros_like(centred), where=lengths > MIN_CONTRAST
    )
    return standardised


def _overlap(down: int, right: int) -> tuple[slice, slice]:
    """Return the part of a thumbnail that overlaps with a shifted one."""
    rows, columns = (slice(max(shift, 0), EDGE + min(shift, 0)) for shift in (down, right))
    return rows, columns


def _all_overlaps() -> NDArray[np.float64]:
    """Return 1 where a thumbnail overlaps with a shifted one, `(32 * 32, number of shifts)`."""
    masks = np.zeros((len(_SHIFTS), EDGE, EDGE))
    for mask, (down, right) in zip(masks, _SHIFTS, strict=True):
        mask[_overlap(down, right)] = 1
    return masks.reshape(len(_SHIFTS), -1).T


_WINDOWS = _all_overlaps()
