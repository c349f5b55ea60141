"""Single objects out of a mask of classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE, Label

METHODS = ("components", "watershed")
NEIGHBOURS = {"edges": 1, "corners": 2}
"""Across what two pixels are neighbours, and the number that scikit-image has for it."""


@dataclass(frozen=True)
class ObjectSettings:
    """How the pixels of a class become objects.

    Attributes:
        method: "components" makes one object of all pixels that are connected; "watershed" also
            parts objects that touch, each of which has a seed of its own.
        neighbours: What connects two pixels: "edges", or "corners" too.
        seed_distance: Of the watershed: how far two seeds of one piece are apart at least, in
            pixels.
        seed_height: Of the watershed: how far a seed is at least from the nearest pixel that is
            not of its class, in pixels.

    Raises:
        InputError: A value cannot be used.
    """

    method: str = "components"
    neighbours: str = "corners"
    seed_distance: int = 10
    seed_height: float = 2.0

    def __post_init__(self) -> None:
        _check_choice("objects.method", self.method, METHODS)
        _check_choice("objects.neighbours", self.neighbours, tuple(NEIGHBOURS))
        if type(self.seed_distance) is not int or self.seed_distance < 1:
            raise InputError(
                "objects.seed_distance",
                f"{self.seed_distance!r} is no distance between seeds",
                "Give a whole number of pixels from 1 on, such as the radius of a small object",
            )
        if not _is_length(self.seed_height):
            raise InputError(
                "objects.seed_height",
                f"{self.seed_height!r} is no distance from an object's outline",
                "Give a number of pixels above 0, such as half the radius of a small object",
            )


@dataclass(frozen=True)
class Objects:
    """The objects of an image.

    Attributes:
        numbers: `(height, width)` uint32, the number of each pixel's object, 1 to n; 0 where there
            is none. Each number has a pixel at least.
        classes: `(n,)` uint8, the class index of object 1, of object 2 and so on.
    """

    numbers: NDArray[np.uint32]
    classes: NDArray[np.uint8]

    def name_classes(self, class_names: Sequence[str]) -> list[str]:
        """Return the name of each object's class.

        Args:
            class_names: The names in the order of the class indices, the background first.

        Raises:
            InputError: There is no name for a class.
        """
        highest = int(self.classes.max(initial=0))
        if highest >= len(class_names):
            raise InputError(
                "class names",
                f"there are objects of class {highest}, but {len(class_names)} names",
                "Give one name for each class, the background first",
            )
        return [class_names[index] for index in self.classes]


def find_objects(label: Label, settings: ObjectSettings | None = None) -> Objects:
    """Make objects of each class but the background.

    No object spans two classes. Ignored pixels (255) belong to none, and part objects as the
    background does. Objects are numbered in the order of their first pixels, row by row.

    The seeds of the watershed (Vincent and Soille 1991, doi 10.1109/34.87344) are maxima of the
    Euclidean distance to the nearest pixel that is not of the class; what lies beyond the image's
    border does not count as such. A pixel is a maximum if nothing in its piece has a greater
    distance within `seed_distance` rows and columns; of maxima that are nearer to each other than
    `seed_distance` the highest stays, of equals the first. A piece without a seed, since it is
    nowhere as thick as `seed_height` asks, stays one object.

    Args:
        label: `(height, width)` uint8 class indices, 255 where ignored.
        settings: See `ObjectSettings`; its defaults where None.
    """
    settings = settings or ObjectSettings()
    connectivity = NEIGHBOURS[settings.neighbours]
    inside = np.where(label == IGNORE, 0, label)
    if settings.method == "components":
        return _order(label, _connect(inside, connectivity))
    numbers = np.zeros(label.shape, np.int32)
    count = 0
    for index in np.unique(inside[inside > 0]):
        parted = _watershed(inside == index, settings, connectivity)
        numbers += np.where(parted > 0, parted + count, 0)
        count += int(parted.max())
    return _order(label, numbers)


def _connect(values: NDArray[np.generic], connectivity: int) -> NDArray[np.int32]:
    """Number the connected pixels of equal values, but of 0."""
    from skimage.measure import label as connected_components

    numbers = connected_components(values, background=0, connectivity=connectivity)
    return np.asarray(numbers, np.int32)


def _watershed(
    mask: NDArray[np.bool_], settings: ObjectSettings, connectivity: int
) -> NDArray[np.int32]:
    """Number the objects of one class from 1 on."""
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    pieces = _connect(mask, connectivity)
    if mask.all():  # there is nothing that a pixel could be distant from
        return pieces
    distance = ndimage.distance_transform_edt(mask)
    rows, columns = peak_local_max(
        distance,
        min_distance=settings.seed_distance,
        threshold_abs=np.nextafter(settings.seed_height, 0),  # which it must be above
        labels=pieces,
        exclude_border=False,
        p_norm=2,
    ).T
    # A piece without a seed is its own: all of it is marked.
    without = np.ones(pieces.max() + 1, bool)
    without[0] = without[pieces[rows, columns]] = False
    table = np.zeros(len(without), np.int32)
    table[without] = len(rows) + 1 + np.arange(np.count_nonzero(without))
    markers = table[pieces]
    markers[rows, columns] = 1 + np.arange(len(rows))
    return np.asarray(watershed(-distance, markers, connectivity, mask=mask), np.int32)


def _order(label: Label, numbers: NDArray[np.int32]) -> Objects:
    """Number objects 1 to n anew in the order of their first pixels, and look up their classes."""
    count = int(numbers.max(initial=0))
    places = np.flatnonzero(numbers)
    first = np.full(count + 1, numbers.size)
    np.minimum.at(first, numbers.ravel()[places], places)
    order = np.argsort(first[1:])
    table = np.zeros(count + 1, np.uint32)
    table[order + 1] = np.arange(1, count + 1)
    return Objects(table[numbers], label.ravel()[first[1:][order]])


def _check_choice(where: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        listed = " or ".join(f"'{choice}'" for choice in choices)
        raise InputError(where, f"{value!r} is no choice", f"Use {listed}")


def _is_length(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) and value > 0
