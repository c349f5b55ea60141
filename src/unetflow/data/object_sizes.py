"""Sizes of numbered objects, and how many of them touch: what separating them has to cope with."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetflow.config.base import Strict

PERCENTILES = (0, 0.5, 1, 2, 5, 10, 25, 50, 75, 90, 95, 99, 100)

_HERE, _BEFORE, _AFTER = slice(None), slice(None, -1), slice(1, None)
_NEIGHBOURS = (  # half of the eight; the other half are the same pairs of pixels
    ((_HERE, _BEFORE), (_HERE, _AFTER)),
    ((_BEFORE, _HERE), (_AFTER, _HERE)),
    ((_BEFORE, _BEFORE), (_AFTER, _AFTER)),
    ((_BEFORE, _AFTER), (_AFTER, _BEFORE)),
)


class ObjectSizes(NamedTuple):
    """The objects of one image.

    Attributes:
        areas: Number of pixels of each, in the order of their numbers.
        touching: Number of objects that have a pixel next to a pixel of another object, also
            across a corner.
    """

    areas: NDArray[np.int64]
    touching: int


class ObjectStatistics(Strict):
    """The objects of the training images whose source numbers them.

    Attributes:
        images: Number of these images.
        objects: Number of objects in them.
        touching: Number of objects that have a pixel next to a pixel of another object, also
            across a corner.
        area_percentiles: Area in pixels by percentile of the objects, "0" to "100": of 1 % of them
            it is below that of "1".
    """

    images: int
    objects: int
    touching: int
    area_percentiles: dict[str, float]

    @property
    def touching_fraction(self) -> float:
        """Fraction of the objects that touch another one."""
        return self.touching / self.objects if self.objects else 0.0


def measure_object_sizes(numbers: NDArray[np.unsignedinteger]) -> ObjectSizes:
    """Measure the objects of an image from the number of each pixel's object, 0 for none."""
    counts = np.bincount(numbers.ravel())[1:]
    touches = np.zeros(len(counts) + 1, bool)
    for one, other in _NEIGHBOURS:
        here, there = numbers[one], numbers[other]
        differ = (here != there) & (here > 0) & (there > 0)
        touches[here[differ]] = True
        touches[there[differ]] = True
    return ObjectSizes(counts[counts > 0].astype(np.int64), int(np.count_nonzero(touches)))


def summarise_objects(
    areas: Iterable[NDArray[np.integer] | None], touching: Sequence[int]
) -> ObjectStatistics | None:
    """Summarise the objects of images.

    Args:
        areas: The areas of the objects of each image; None where they are not numbered.
        touching: Number of objects that touch another one in each image that numbers them.

    Returns:
        The statistics; None where no image numbers its objects.
    """
    numbered = [part for part in areas if part is not None]
    if not numbered:
        return None
    merged = np.concatenate(numbered)
    values = np.percentile(merged, PERCENTILES) if merged.size else np.zeros(0)
    return ObjectStatistics(
        images=len(numbered),
        objects=len(merged),
        touching=sum(touching),
        area_percentiles={f"{p:g}": float(v) for p, v in zip(PERCENTILES, values, strict=False)},
    )
