"""The weight of each pixel in the loss: rare classes and the gaps between objects count more."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetflow.annotations.raster import to_smallest_dtype
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE, Label

_REACH = 6.0
"""In border widths: at this sum of the distances a gap adds less than 2e-8 of the weight."""


def weight_map(
    label: Label,
    instances: NDArray[np.unsignedinteger] | None,
    *,
    class_weights: Sequence[float],
    border_weight: float = 10.0,
    border_width: float = 5.0,
) -> NDArray[np.float32]:
    """Weigh each pixel as in Ronneberger, Fischer and Brox 2015 (arXiv 1505.04597), equation 2.

    `w(x) = w_c(x) + w_0 exp(-(d_1(x) + d_2(x))^2 / (2 sigma^2))`, where `d_1` and `d_2` are the
    Euclidean distances to the nearest pixel of the nearest and of the second nearest object. The
    second term is there for the background that separates objects, so that pixels of an object
    have `w_c` alone. Objects that touch have no background in between and get no border; an
    image with fewer than two objects has none at all.

    Args:
        label: `(height, width)` uint8 class indices; ignored pixels get weight 0.
        instances: `(height, width)`, the number of each pixel's object, 0 for none; None: the
            connected pixels of each class but the first, as `objects_of` finds them. Where the
            first class is made of objects, as the cells between membranes are, give
            `objects_of(label, 0)`.
        class_weights: `w_c` of each class.
        border_weight: `w_0`, the weight that a gap of no width would add.
        border_width: `sigma` in pixels, above 0.

    Returns:
        `(height, width)` float32.

    Raises:
        InputError: A class of the label has no weight.
    """
    weights = _weigh_classes(label, class_weights)
    numbers, count = _number_objects(_objects(label) if instances is None else instances)
    if count < 2 or not border_weight:
        return weights
    # Worked out in place, as each intermediate result would be one more array of the image's size.
    term, second = _two_nearest(numbers, _REACH * border_width)
    term += second
    term /= border_width
    np.square(term, out=term)
    term *= -0.5
    np.exp(term, out=term)
    term *= border_weight
    return np.add(weights, term, out=weights, where=(numbers == 0) & (label != IGNORE))


def objects_of(label: Label, index: int) -> NDArray[np.unsignedinteger]:
    """Number the connected pieces of one class.

    Pixels are connected across their edges alone, not their corners: a diagonal line one pixel
    wide, such as a thin membrane, then keeps the objects on its two sides apart.

    Args:
        label: `(height, width)` uint8 class indices.
        index: The class whose pieces are the objects.

    Returns:
        `(height, width)` uint16 or uint32: 1 and on for the pieces, 0 elsewhere.
    """
    numbers, _ = ndimage.label(label == index)
    return to_smallest_dtype(numbers)


def _weigh_classes(label: Label, class_weights: Sequence[float]) -> NDArray[np.float32]:
    present = np.unique(label)
    highest = max((int(index) for index in present if index != IGNORE), default=0)
    if highest >= len(class_weights):
        raise InputError(
            "class weights",
            f"the label holds class {highest}, but there are {len(class_weights)} weights",
            "Give one weight for each class, the background first",
        )
    table = np.zeros(256, np.float32)
    table[: len(class_weights)] = class_weights
    table[IGNORE] = 0
    return table[label]


def _objects(label: Label) -> NDArray[np.integer]:
    """Number the pieces of all classes but the first."""
    numbers = np.zeros(label.shape, np.int32)
    for index in np.unique(label):
        if index not in (0, IGNORE):
            pieces = objects_of(label, int(index)).astype(np.int32)
            numbers += np.where(pieces > 0, pieces + numbers.max(), 0)
    return numbers


def _number_objects(instances: NDArray[np.integer]) -> tuple[NDArray[np.int32], int]:
    """Number objects from 1 without gaps; return how many there are, too."""
    known = np.unique(instances)
    known = known[known > 0]
    numbers = np.searchsorted(known, instances).astype(np.int32) + 1
    numbers[instances == 0] = 0
    return numbers, len(known)


def _two_nearest(
    numbers: NDArray[np.int32], reach: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the distances to the nearest and to the second nearest object.

    Each object is looked at in its box grown by the reach only; what is farther away may be
    given as infinite.
    """
    nearest = np.full(numbers.shape, np.inf, np.float32)
    second = nearest.copy()
    margin = int(np.ceil(reach))
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        window = tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in box)
        distance = _distance_to(numbers[window] == number)
        np.minimum(second[window], np.maximum(nearest[window], distance), out=second[window])
        np.minimum(nearest[window], distance, out=nearest[window])
    return nearest, second


def _distance_to(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return each pixel's distance to the nearest pixel that is inside, in pixels."""
    # From the indices: SciPy's own distances need several float64 arrays of the window's size.
    rows, columns = ndimage.distance_transform_edt(
        ~inside, return_distances=False, return_indices=True
    )
    height, width = inside.shape
    rows -= np.arange(height, dtype=rows.dtype)[:, np.newaxis]
    columns -= np.arange(width, dtype=columns.dtype)
    distance: NDArray[np.float32] = np.hypot(rows, columns, dtype=np.float32)
    return distance
