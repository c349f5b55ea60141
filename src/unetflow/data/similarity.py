"""Images made small, and how alike two of them are."""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.io.image_hash import _FAINT, shrink

LoadThumbnail: TypeAlias = Callable[[str], NDArray[np.uint8]]
"""Returns the small picture of an id."""

EDGE = 32
"""Height and width of a small picture."""

_SAME = 0.999  # correlation at which it does not matter any more what all images share
_SAMPLE = 64  # images from which it is learnt what many of them share
_MANY = 8
_SHIFTS = tuple(product(range(-2, 3), repeat=2))


def make_thumbnail(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return what images are compared by.

    Args:
        image: `(height, width, channels)` of uint8, uint16 or finite float32.

    Returns:
        `(32, 32)` grey values, scaled to the image's own range of brightness; all 0 for an image
        of one value.
    """
    return (255 * shrink(image, EDGE)).round().astype(np.uint8)


class ThumbnailComparison:
    """Compares pictures by what they do not share with many others.

    All pictures of an eye's background show a bright disk in a dark frame, and all of one camera
    the same hot pixels and the same shading; such pictures correlate even where they are
    different. So the strongest principal components of a sample are taken out of all pictures
    before they are compared.

    Args:
        ids: The images' ids.
        open_picture: Returns the small picture of an id; each is asked for once.
    """

    def __init__(self, ids: Sequence[str], open_picture: LoadThumbnail) -> None:
        self._ids, self._open_picture = ids, open_picture
        self._opened = np.zeros(len(ids), bool)
        self._pictures = np.zeros((len(ids), EDGE**2), np.uint8)

    def correlate(self, one: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the correlation of one picture with each of some others, -1 to 1."""
        if not others.size:
            return np.zeros(0)
        pictures = self._get(np.concatenate([[one], others]))
        plain = pictures[1:] @ pictures[0]
        own = pictures - (pictures @ self._shared.T) @ self._shared
        return np.where(plain >= _SAME, plain, correlate_shifted(own))

    @cached_property
    def _shared(self) -> NDArray[np.float64]:
        """The components with the weight of many whole pictures, one in each row."""
        places = np.linspace(0, len(self._ids) - 1, min(_SAMPLE, len(self._ids)))
        sample = self._get(places.round().astype(np.intp))
        _, strengths, components = np.linalg.svd(sample, full_matrices=False)
        strong: NDArray[np.float64] = components[strengths**2 >= _MANY]
        return strong

    def _get(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return small pictures, one in each row, of mean 0 and length 1."""
        for place in places[~self._opened[places]]:
            self._pictures[place] = self._open_picture(self._ids[place]).ravel()
            self._opened[place] = True
        return _standardise(self._pictures[places].astype(np.float64))


def correlate_shifted(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of the first picture with each other one, shifted where that helps.

    The shift is up to two pixels of the small pictures, a 16th of the image, and the correlation
    is that of the part where the two overlap.

    Args:
        pictures: `(number, 32 * 32)`, one in each row.

    Returns:
        `(number - 1,)`, -1 to 1; 0 where one of the two has no contrast.
    """
    first, others = pictures[0].reshape(EDGE, EDGE), pictures[1:]
    windows = np.zeros((len(_SHIFTS), EDGE, EDGE))
    for number, (down, right) in enumerate(_SHIFTS):
        part = _overlap(-down, -right)
        window = _standardise(first[part].reshape(1, -1)).reshape(first[part].shape)
        windows[number][_overlap(down, right)] = window
    # The window has the mean 0, so that the other picture's mean drops out of the product.
    products = others @ windows.reshape(len(_SHIFTS), -1).T
    sums, squares = others @ _WINDOWS, others**2 @ _WINDOWS
    lengths = np.sqrt(np.clip(squares - sums**2 / _WINDOWS.sum(axis=0), 0, None))
    correlations: NDArray[np.float64] = np.divide(
        products, lengths, out=np.zeros_like(products), where=lengths > _FAINT
    ).max(axis=1)
    return correlations


def _standardise(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows of mean 0 and length 1, or 0 where there is only rounding."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    standardised: NDArray[np.float64] = np.divide(
        centred, lengths, out=np.zeros_like(centred), where=lengths > _FAINT
    )
    return standardised


def _overlap(down: int, right: int) -> tuple[slice, slice]:
    """Return the part of a picture that overlaps with one that is shifted."""
    rows, columns = (slice(max(shift, 0), EDGE + min(shift, 0)) for shift in (down, right))
    return rows, columns


def _all_overlaps() -> NDArray[np.float64]:
    """Return 1 where a picture overlaps with a shifted one, `(32 * 32, number of shifts)`."""
    masks = np.zeros((len(_SHIFTS), EDGE, EDGE))
    for mask, (down, right) in zip(masks, _SHIFTS, strict=True):
        mask[_overlap(down, right)] = 1
    return masks.reshape(len(_SHIFTS), -1).T


_WINDOWS = _all_overlaps()
