"""Single objects of a mask of classes: their separation, and a table of measurements."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy
import skimage as ski
from numpy.typing import NDArray

from unetflow.config.mask_export import ObjectParameters
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE, Label
from unetflow.instances.watershed import PartRule, Terrain, flood
from unetflow.io.pixel_size import PixelSize

_CONNECTIVITY = {"edges": 1, "corners": 2}
"""The values of scikit-image."""
COLUMNS = (
    {"image": "string", "object": "uint32", "class": "string", "area_px": "int64"}
    | dict.fromkeys(("centroid_x_px", "centroid_y_px"), "float64")
    | dict.fromkeys(("box_left_px", "box_top_px", "box_width_px", "box_height_px"), "int64")
    | dict.fromkeys(("perimeter_px", "area_um2", "centroid_x_um", "centroid_y_um"), "float64")
    | dict.fromkeys(("box_left_um", "box_top_um", "box_width_um", "box_height_um"), "float64")
    | {"perimeter_um": "float64", "confidence": "float64", "unlike_training": "string"}
)
"""Columns and their types; those of the channels are inserted before the last."""
_EQUAL_SIDES = 1e-4
"""Relative difference of a square pixel's sides, which files round."""


class ObjectWindow(NamedTuple):
    """A part of an image that holds all pixels of some of its objects.

    Attributes:
        numbers: `(height, width)` uint32, each of these objects with a number from 1 on; 0 at all
            other pixels.
        members: `(objects,)`, the number of each in the image, in ascending order.
        rows: First row of the image, and one after the last.
        columns: First column of the image, and one after the last.
    """

    numbers: NDArray[np.uint32]
    members: NDArray[np.int64]
    rows: tuple[int, int]
    columns: tuple[int, int]


class ClassedObjects:
    """Objects that have a class each; see `Objects` and `large_objects.LargeObjects`."""

    classes: NDArray[np.uint8]
    confidence: NDArray[np.float64] | None

    def name_classes(self, class_names: Sequence[str]) -> list[str]:
        """Return the name of each object's class; names of classes have the background first.

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


@dataclass(frozen=True)
class Objects(ClassedObjects):
    """The objects of an image.

    Attributes:
        numbers: `(height, width)` uint32, the number of each pixel's object, 1 to n; 0 where there
            is none. Each number has at least one pixel.
        classes: `(n,)` uint8, the class index of each object.
        confidence: `(n,)`, the chance that each is a true object, from 0 to 1 (see
            `instances.confidence`); None where it is unknown.
    """

    numbers: NDArray[np.uint32]
    classes: NDArray[np.uint8]
    confidence: NDArray[np.float64] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        height, width = self.numbers.shape
        return height, width

    def windows(self) -> Iterator[ObjectWindow]:
        """Yield the whole image."""
        rows, columns = ((0, length) for length in self.shape)
        yield ObjectWindow(self.numbers, np.arange(1, len(self.classes) + 1), rows, columns)


def find_objects(label: Label, settings: ObjectParameters | None = None) -> Objects:
    """Find the objects of each class except the background.

    No object spans two classes. Ignored pixels (255) belong to no object and separate objects as
    the background does. Objects are numbered in the order of their first pixels, row by row.

    The seeds of the watershed (Vincent and Soille 1991, doi 10.1109/34.87344) are maxima of the
    Euclidean distance to the nearest pixel outside the class; pixels beyond the image's border do
    not count as such. A pixel is a maximum if no pixel of its piece within `min_distance` rows and
    columns has a larger distance; of maxima closer than `min_distance` only the highest is kept,
    the first among equals. A piece without a seed, which is thinner than `min_height`, remains one
    object. Without settings, the defaults of `ObjectParameters` apply; of their methods, `auto` is
    `components` here.
    """
    settings = settings or ObjectParameters()
    connectivity = _CONNECTIVITY[settings.connectivity]
    if settings.method == "watershed":

        def separate(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
            terrain = _measure_distances(mask, settings, connectivity)
            return flood(terrain, terrain.seeds)

        return number_objects(label, separate)
    return _order(label, _connect(np.where(label == IGNORE, 0, label), connectivity))


def part_rule(settings: ObjectParameters) -> PartRule:
    """Return the rule of `find_objects`, for parts of an image."""
    connectivity = _CONNECTIVITY[settings.connectivity]
    if settings.method == "watershed":
        return PartRule(
            lambda mask, _: _measure_distances(mask, settings, connectivity), connectivity, 1
        )
    return PartRule(lambda mask, _: _without_seeds(mask, connectivity), connectivity)


def number_objects(
    label: Label, separate: Callable[[NDArray[np.bool_]], NDArray[np.int32]]
) -> Objects:
    """Separate the objects of each class by a function; see `find_objects`.

    The function takes the mask of a class, and returns the number of each pixel's object.
    """
    numbers = np.zeros(label.shape, np.int32)
    count = 0
    for index in np.setdiff1d(label, (0, IGNORE)):
        parted = separate(label == index)
        numbers += np.where(parted > 0, parted + count, 0)
        count += int(parted.max())
    return _order(label, numbers)


def _connect(values: NDArray[np.generic], connectivity: int) -> NDArray[np.int32]:
    """Label the connected regions of equal values except 0."""
    numbers = ski.measure.label(values, background=0, connectivity=connectivity)
    return np.asarray(numbers, np.int32)


def _measure_distances(
    mask: NDArray[np.bool_], settings: ObjectParameters, connectivity: int
) -> Terrain:
    """Return the distances to the outside of a mask, with the seeds among them."""
    if mask.all():  # the distances are undefined
        return _without_seeds(mask, connectivity)
    pieces = _connect(mask, connectivity)
    distance = scipy.ndimage.distance_transform_edt(mask)
    seeds = ski.feature.peak_local_max(
        distance,
        min_distance=settings.min_distance,
        threshold_abs=np.nextafter(settings.min_height, 0),  # the height itself is sufficient
        labels=pieces,
        exclude_border=False,
        p_norm=2,
    )
    return Terrain(pieces, distance, seeds, connectivity)


def _without_seeds(mask: NDArray[np.bool_], connectivity: int) -> Terrain:
    """Return a terrain whose objects are its connected pieces."""
    flat, none = np.zeros(mask.shape, np.float32), np.zeros((0, 2), np.intp)
    return Terrain(_connect(mask, connectivity), flat, none, connectivity)


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


def measure_objects(
    objects: Objects,
    image: NDArray[np.generic],
    image_name: str,
    class_names: Sequence[str],
    pixel_size: PixelSize | None = None,
    unlike_training: str = "",
) -> pd.DataFrame:
    """Measure each object of an image.

    Columns that end in `_px` are in pixels, those in `_um` in micrometres and in `_um2` in square
    micrometres, NaN where the size of a pixel is unknown. Positions are distances from the image's
    upper left corner, so that the centroid of the first pixel is at 0.5, 0.5. The perimeter is that
    of scikit-image (Benkrid and Crookes 2000); in micrometres it is NaN where pixels are not
    square. The columns `mean_channel_1` and so on hold the mean intensity of each channel, and
    `confidence` that of `Objects`, NaN where it is unknown.

    The table has a row for each object in the order of their numbers, with the columns `COLUMNS`
    and those of the channels. The image is `(height, width, channels)` at any bit depth;
    `unlike_training` says how it differs from those of the training, and is empty if it does not.

    Raises:
        InputError: A class has no name.
    """
    table = measure_pixels(objects.numbers, image)
    table["image"], table["class"] = image_name, objects.name_classes(class_names)
    table["confidence"] = math.nan if objects.confidence is None else objects.confidence
    return complete_table(table, pixel_size, unlike_training)


def measure_pixels(
    numbers: NDArray[np.unsignedinteger], image: NDArray[np.generic]
) -> pd.DataFrame:
    """Return the number of each object and its measurements in pixels; see `measure_objects`."""
    properties = ("label", "area", "centroid", "bbox", "perimeter", "intensity_mean")
    found = ski.measure.regionprops_table(numbers, image, properties)
    table = pd.DataFrame(
        {
            "object": found["label"],
            "area_px": found["area"],
            # The origin of scikit-image is the centre of the first pixel.
            "centroid_x_px": found["centroid-1"] + 0.5,
            "centroid_y_px": found["centroid-0"] + 0.5,
            "box_left_px": found["bbox-1"],
            "box_top_px": found["bbox-0"],
            "box_width_px": found["bbox-3"] - found["bbox-1"],
            "box_height_px": found["bbox-2"] - found["bbox-0"],
            "perimeter_px": found["perimeter"],
        }
    )
    for channel in range(image.shape[2]):
        table[f"mean_channel_{channel + 1}"] = found[f"intensity_mean-{channel}"]
    return table


def complete_table(
    table: pd.DataFrame, pixel_size: PixelSize | None, unlike_training: str
) -> pd.DataFrame:
    """Return the table of `measure_objects`, given all that does not depend on the pixel size."""
    table["unlike_training"] = unlike_training
    _add_micrometres(table, pixel_size)
    channels = [name for name in map(str, table.columns) if name.startswith("mean_channel_")]
    types = COLUMNS | dict.fromkeys(channels, "float64")
    *first, last = COLUMNS
    return table.astype(types)[[*first, *channels, last]]


def _add_micrometres(table: pd.DataFrame, pixel_size: PixelSize | None) -> None:
    """Add the columns in micrometres."""
    x = y = side = math.nan
    if pixel_size is not None:
        size = pixel_size.in_unit("µm")
        x, y = size.x, size.y
        side = x if math.isclose(x, y, rel_tol=_EQUAL_SIDES) else math.nan
    table["area_um2"] = table["area_px"] * (x * y)
    factors = dict.fromkeys(("centroid_x", "box_left", "box_width"), x)
    factors |= dict.fromkeys(("centroid_y", "box_top", "box_height"), y)
    for name, factor in {**factors, "perimeter": side}.items():
        table[f"{name}_um"] = table[f"{name}_px"] * factor
