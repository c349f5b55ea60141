"""What a network learns about objects: their boundaries, and the distance to their outside.

The targets are computed once for each whole sample, since a crop does not show the middle of an
object that it cuts.
"""

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from unetflow.annotations.raster import to_smallest_dtype
from unetflow.augmentation.map_folder import MapFolder, update_maps
from unetflow.core.types import IGNORE
from unetflow.data.samples import SampleFolder

STEPS = 255
"""The value that stands for 1 in a stored target."""
_FORM = 1
"""Raised when the content of the targets changes, so that all are computed again."""


class ObjectTargetFolder(MapFolder):
    """The targets of a folder by sample id: `(height, width, outputs)` uint8, 255 stands for 1."""

    FILE = "object_targets.tif"

    def __getitem__(self, sample_id: str) -> NDArray[np.uint8]:
        pixels = super().__getitem__(sample_id)
        return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def update_object_targets(
    folder: ObjectTargetFolder, samples: SampleFolder, outputs: Sequence[str]
) -> int:
    """Bring a folder of targets up to date, and return how many were computed.

    See `map_folder.update_maps`. In a sample whose objects are not numbered, each connected piece
    of the foreground is one.
    """

    def compute(sample_id: str) -> NDArray[np.uint8]:
        numbers = samples.instances(sample_id)
        if numbers is None:
            label = np.asarray(samples[sample_id].label)
            numbers = to_smallest_dtype(scipy.ndimage.label((label > 0) & (label != IGNORE))[0])
        return object_targets(numbers, outputs)

    return update_maps(folder, samples, f"{_FORM} {list(outputs)}", compute)


def object_targets(
    numbers: NDArray[np.unsignedinteger], outputs: Sequence[str] = ("boundary", "distance")
) -> NDArray[np.uint8]:
    """Return the targets of outputs for objects; see `core.types.OBJECT_OUTPUTS`.

    Args:
        numbers: `(height, width)`, the number of each pixel's object; 0 where there is none.
        outputs: Names of the outputs.

    Returns:
        `(height, width, outputs)` uint8, 255 stands for 1.
    """
    found = {"boundary": object_boundaries, "distance": inner_distances}
    targets = [np.rint(found[name](numbers) * STEPS) for name in outputs]
    return np.stack(targets, axis=2).astype(np.uint8)


def object_boundaries(numbers: NDArray[np.unsignedinteger]) -> NDArray[np.bool_]:
    """Return the pixels of objects that touch, at a side or a corner, a pixel outside the object.

    The border of the image is no boundary, since the object may continue beyond it.
    """
    highest = scipy.ndimage.maximum_filter(numbers, 3, mode="nearest")
    lowest = scipy.ndimage.minimum_filter(numbers, 3, mode="nearest")
    return np.asarray((highest != lowest) & (numbers > 0))


def inner_distances(numbers: NDArray[np.unsignedinteger]) -> NDArray[np.float32]:
    """Return the distance of each pixel to the nearest pixel outside its object, as a fraction.

    It is the Euclidean distance divided by the largest one in the object, as in Bai and Urtasun
    2017 (arXiv 1611.08303) but for the scale: nearly 0 at the edge of an object, 1 at its middle,
    0 outside. An object that the border of the image cuts is taken to end nowhere else.
    """
    distances = np.zeros(numbers.shape, np.float32)
    for number, box in enumerate(scipy.ndimage.find_objects(numbers.astype(np.int64)), start=1):
        if box is None:
            continue
        window = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        inside = numbers[window] == number
        if inside.all():  # all of the image
            distances[window] = 1
            continue
        depth = scipy.ndimage.distance_transform_edt(inside)
        distances[window][inside] = depth[inside] / depth.max()
    return distances
