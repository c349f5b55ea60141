"""Separation of a mask of classes into single objects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.config.mask_export import ObjectParameters
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE, Label

_CONNECTIVITY = {"edges": 1, "corners": 2}
"""The values of scikit-image."""


@dataclass(frozen=True)
class Objects:
    """The objects of an image.

    Attributes:
        numbers: `(height, width)` uint32, the number of each pixel's object, 1 to n; 0 where there
            is none. Each number has at least one pixel.
        classes: `(n,)` uint8, the class index of each object.
    """

    numbers: NDArray[np.uint32]
    classes: NDArray[np.uint8]

    def name_classes(self, class_names: Sequence[str]) -> list[str]:
        """Return the name of each object's class.

        Args:
            class_names: Names of the classes, the background first.

        Raises:
            InputError: A class has no name.
        """
        highest = int(self.classes.max(initial=0))
        if highest >= len(class_names):
            raise InputError(
                "class names",
                f"there are objects of class {highest}, but only {len(class_names)} names",
                "Give one name for each class, the background first",
            )
        return [class_names[index] for index in self.classes]


def find_objects(label: Label, settings: ObjectParameters | None = None) -> Objects:
    """Find the objects of each class except the background.

    No object spans two classes. Ignored pixels (255) belong to no object and separate objects as
    the background does. Objects are numbered in the order of their first pixels, row by row.

    The seeds of the watershed (Vincent and Soille 1991, doi 10.1109/34.87344) are maxima of the
    Euclidean distance to the nearest pixel outside the class; pixels beyond the image's border do
    not count as such. A pixel is a maximum if no pixel of its piece within `min_distance` rows and
    columns has a larger distance; of maxima closer than `min_distance` only the highest is kept,
    the first among equals. A piece without a seed, which is thinner than `min_height`, remains one
    object.

    Args:
        label: `(height, width)` uint8 class indices, 255 where ignored.
        settings: See `ObjectParameters`; its defaults where None.
    """
    settings = settings or ObjectParameters()
    connectivity = _CONNECTIVITY[settings.connectivity]
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
    """Label the connected regions of equal values except 0."""
    from skimage.measure import label as connected_components

    numbers = connected_components(values, background=0, connectivity=connectivity)
    return np.asarray(numbers, np.int32)


def _watershed(
    mask: NDArray[np.bool_], settings: ObjectParameters, connectivity: int
) -> NDArray[np.int32]:
    """Label the objects of one class."""
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    pieces = _connect(mask, connectivity)
    if mask.all():  # the distances are undefined
        return pieces
    distance = ndimage.distance_transform_edt(mask)
    rows, columns = peak_local_max(
        distance,
        min_distance=settings.min_distance,
        threshold_abs=np.nextafter(settings.min_height, 0),  # the height itself is sufficient
        labels=pieces,
        exclude_border=False,
        p_norm=2,
    ).T
    # All of a piece without a seed becomes its marker.
    without = np.ones(pieces.max() + 1, bool)
    without[0] = without[pieces[rows, columns]] = False
    table = np.zeros(len(without), np.int32)
    table[without] = len(rows) + 1 + np.arange(np.count_nonzero(without))
    markers = table[pieces]
    markers[rows, columns] = 1 + np.arange(len(rows))
    return np.asarray(watershed(-distance, markers, connectivity, mask=mask), np.int32)


def _order(label: Label, numbers: NDArray[np.int32]) -> Objects:
    """Renumber objects by their first pixels, and find their classes."""
    count = int(numbers.max(initial=0))
    places = np.flatnonzero(numbers)
    first = np.full(count + 1, numbers.size)
    np.minimum.at(first, numbers.ravel()[places], places)
    order = np.argsort(first[1:])
    table = np.zeros(count + 1, np.uint32)
    table[order + 1] = np.arange(1, count + 1)
    return Objects(table[numbers], label.ravel()[first[1:][order]])
