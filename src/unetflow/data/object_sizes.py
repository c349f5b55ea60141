"""Sizes of true objects, and how many of them touch: what finding them has to cope with."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np
import skimage as ski
from numpy.typing import NDArray

from unetflow.config.base import Strict
from unetflow.core.types import Label

PERCENTILES = (0, 0.5, 1, 2, 5, 10, 25, 50, 75, 90, 95, 99, 100)
LOST_PERCENTAGES = (0, 0.25, 0.5, 1)
"""Percentages of the true objects that a candidate for the smallest object may cost."""
FEW_OBJECTS = 100
"""With fewer objects than this, the smallest of them says little about those of other images."""

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


class RemovalCost(Strict):
    """What removing small objects would cost among the true objects of the training images.

    Attributes:
        area: Objects of fewer pixels are removed.
        lost: Number of training objects that are smaller.
        objects: Number of all training objects.
        pieces: Whether some of them are connected pieces of the foreground, since not all samples
            number their objects.
    """

    area: int
    lost: int
    objects: int
    pieces: bool


class SmallestObjects(Strict):
    """Candidates for the smallest object of a foreground, and what each costs.

    A candidate is the largest area below which not more than a percentage of the training objects
    lie, or half of it, since a found object may be smaller than the true one. Of fewer than
    `FEW_OBJECTS` objects it is half the area of the smallest one: 1 % of them is less than one.

    Attributes:
        objects: Number of true objects in the training images: those that a sample numbers, or
            else the connected pieces of its foreground.
        pieces: See `RemovalCost`.
        smaller: Number of objects with fewer pixels than a candidate, by its area in pixels; no
            more than 1 % of the objects.
    """

    objects: int
    pieces: bool
    smaller: dict[str, int]

    @classmethod
    def of(cls, images: Iterable[tuple[NDArray[np.integer], bool]]) -> Self | None:
        """Choose candidates; memory grows with the number of different areas alone.

        Args:
            images: The areas of each image's objects, and whether its sample numbers them.

        Returns:
            The candidates; None where there is no object.
        """
        counts: Counter[int] = Counter()
        pieces = False
        for areas, is_numbered in images:
            counts.update(areas.tolist())
            pieces |= len(areas) > 0 and not is_numbered
        if not counts:
            return None
        sizes = np.array(sorted(counts))
        numbers = np.array([counts[size] for size in sizes.tolist()])
        total, below = int(numbers.sum()), np.cumsum(numbers) - numbers
        bounds = [int(sizes[100 * below <= lost * total][-1]) for lost in LOST_PERCENTAGES]
        halves = [bound // 2 for bound in bounds]
        candidates = sorted({*halves, *bounds} if total >= FEW_OBJECTS else {*halves})
        return cls(
            objects=total,
            pieces=pieces,
            smaller={
                str(area): int(numbers[sizes < area].sum()) for area in candidates if area > 1
            },
        )

    def list_sizes(self, max_lost: float | None) -> list[int]:
        """Return 0 and the candidates in ascending order.

        Args:
            max_lost: Largest fraction of the objects that one may cost; None allows 0 alone.
        """
        if max_lost is None:
            return [0]
        allowed = max_lost * self.objects + 1e-9  # the fraction is rounded
        return sorted({0, *(int(area) for area, lost in self.smaller.items() if lost <= allowed)})

    def cost_of(self, area: int) -> RemovalCost | None:
        """Return the cost of a candidate; None of an area that removes nothing."""
        if area <= 1:
            return None
        lost = self.smaller[str(area)]
        return RemovalCost(area=area, lost=lost, objects=self.objects, pieces=self.pieces)


def measure_pieces(label: Label) -> NDArray[np.int64]:
    """Return the areas of the connected pieces of class 1, which may touch at a corner.

    Ignored pixels belong to none.
    """
    pieces = ski.measure.label(label == 1, connectivity=2)
    return np.bincount(pieces.ravel())[1:].astype(np.int64)


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
