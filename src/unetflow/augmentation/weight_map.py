"""Weights of pixels in the loss, larger in gaps between objects and in rare classes.

The maps are computed once for each sample, stored, and opened lazily.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from unetflow.annotations.raster import to_smallest_dtype
from unetflow.augmentation.map_folder import MapFolder, update_maps
from unetflow.config.training import TrainingParameters, WeightMapParameters
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE, Label
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.samples import SampleFolder

_FORM = 1
"""Raised when the content of weight maps changes, so that all are computed again."""
_REACH = 6.0
"""In border widths: at this sum of the distances a gap adds less than 2e-8 of the weight."""


class WeightFolder(MapFolder):
    """The weight maps of a folder by sample id: `(height, width)` float32."""

    FILE = "weights.tif"


def update_weight_maps(
    folder: WeightFolder,
    samples: SampleFolder,
    settings: WeightMapParameters,
    class_weights: Mapping[str, float],
) -> int:
    """Bring a folder of weight maps up to date, and return how many were computed.

    See `map_folder.update_maps`. `class_weights` holds the weight of each class by its name, in the
    order of the labels.
    """

    def compute(sample_id: str) -> NDArray[np.float32]:
        label = np.asarray(samples[sample_id].label)
        if settings.objects is None:
            instances = samples.instances(sample_id)
        else:
            instances = objects_of(label, list(class_weights).index(settings.objects))
        return weight_map(
            label,
            instances,
            class_weights=list(class_weights.values()),
            border_weight=settings.border_weight,
            border_width=settings.border_width,
        )

    return update_maps(folder, samples, f"{_FORM} {settings} {dict(class_weights)}", compute)


def balance_classes(frequencies: Sequence[float]) -> tuple[float, ...]:
    """Return weights with which all classes contribute equally.

    The weight of a class of frequency f among K classes, its fraction of the training pixels, is
    1 / (K f), so that the mean weight of a pixel is 1. An absent class gets the largest weight of
    the others, or 1.
    """
    weights = [1 / (len(frequencies) * f) if f > 0 else None for f in frequencies]
    largest = max((weight for weight in weights if weight is not None), default=1.0)
    return tuple(largest if weight is None else weight for weight in weights)


def list_class_weights(
    training: TrainingParameters, fingerprint: Fingerprint
) -> list[float] | None:
    """Return the weight of each class that `class_weights` asks for; None: all count the same."""
    if training.class_weights == "balanced":
        return list(balance_classes(list(fingerprint.class_frequencies.values())))
    return None if training.class_weights == "none" else training.class_weights


def weight_map(
    label: Label,
    instances: NDArray[np.unsignedinteger] | None,
    *,
    class_weights: Sequence[float],
    border_weight: float = 10.0,
    border_width: float = 5.0,
) -> NDArray[np.float32]:
    """Return the weights of Ronneberger, Fischer and Brox 2015 (arXiv 1505.04597), equation 2.

    `w(x) = w_c(x) + w_0 exp(-(d_1(x) + d_2(x))^2 / (2 sigma^2))`, where `d_1` and `d_2` are the
    Euclidean distances to the nearest and the second nearest object. The second term is 0 on
    objects, between objects that touch, and in images with fewer than two objects.

    Args:
        label: `(height, width)` uint8 class indices; ignored pixels get weight 0.
        instances: `(height, width)`, the number of each pixel's object, 0 for none; None: the
            connected pixels of each class but the first. Where the first class consists of
            objects, such as cells between membranes, give `objects_of(label, 0)`.
        class_weights: `w_c` of each class.
        border_weight: `w_0`, the weight that a gap of no width would add.
        border_width: `sigma` in pixels, above 0.

    Returns:
        `(height, width)` float32.

    Raises:
        InputError: A class of the label has no weight.
    """
    weights = _class_weights(label, class_weights)
    numbers = _number_objects(_objects(label) if instances is None else instances)
    if numbers.max(initial=0) < 2 or not border_weight:
        return weights
    # In place: each intermediate result would be one more array of the image's size.
    term, second = _two_nearest(numbers, _REACH * border_width)
    term += second
    term /= border_width
    np.square(term, out=term)
    term *= -0.5
    np.exp(term, out=term)
    term *= border_weight
    return np.add(weights, term, out=weights, where=(numbers == 0) & (label != IGNORE))


def objects_of(label: Label, index: int) -> NDArray[np.unsignedinteger]:
    """Number the connected components of one class from 1 on, 0 elsewhere, in uint16 or uint32.

    Pixels are connected across edges, not corners, so that a diagonal membrane one pixel wide
    separates its two sides.
    """
    numbers, _ = scipy.ndimage.label(label == index)
    return to_smallest_dtype(numbers)


def _class_weights(label: Label, class_weights: Sequence[float]) -> NDArray[np.float32]:
    highest = int(label.max(initial=0, where=label != IGNORE))
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
    for index in np.setdiff1d(label, (0, IGNORE)):
        pieces, _ = scipy.ndimage.label(label == index)
        numbers += np.where(pieces > 0, pieces + numbers.max(), 0)
    return numbers


def _number_objects(instances: NDArray[np.integer]) -> NDArray[np.int32]:
    """Number objects from 1 without gaps."""
    known = np.unique(instances[instances > 0])
    numbers = np.searchsorted(known, instances).astype(np.int32) + 1
    numbers[instances == 0] = 0
    return numbers


def _two_nearest(
    numbers: NDArray[np.int32], reach: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the distances to the nearest and to the second nearest object.

    Each object is measured in its bounding box grown by the reach; farther ones may be infinite.
    """
    nearest = np.full(numbers.shape, np.inf, np.float32)
    second = nearest.copy()
    margin = int(np.ceil(reach))
    for number, box in enumerate(scipy.ndimage.find_objects(numbers), start=1):
        window = tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in box)
        distance = _distance_to(numbers[window] == number)
        np.minimum(second[window], np.maximum(nearest[window], distance), out=second[window])
        np.minimum(nearest[window], distance, out=nearest[window])
    return nearest, second


def _distance_to(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return each pixel's distance to the nearest pixel that is inside, in pixels."""
    # From the indices: SciPy's own distances need several float64 arrays of the window's size.
    rows, columns = scipy.ndimage.distance_transform_edt(
        ~inside, return_distances=False, return_indices=True
    )
    height, width = inside.shape
    rows -= np.arange(height, dtype=rows.dtype)[:, np.newaxis]
    columns -= np.arange(width, dtype=columns.dtype)
    return np.asarray(np.hypot(rows, columns, dtype=np.float32))
