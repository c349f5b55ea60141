"""Measurements of objects: position, size, outline and intensity."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.instances.extraction import Objects
from unetflow.io.pixel_size import PixelSize

COLUMNS = (
    {"image": "string", "object": "uint32", "class": "string", "area_px": "int64"}
    | dict.fromkeys(("centroid_x_px", "centroid_y_px"), "float64")
    | dict.fromkeys(("box_left_px", "box_top_px", "box_width_px", "box_height_px"), "int64")
    | dict.fromkeys(("perimeter_px", "area_um2", "centroid_x_um", "centroid_y_um"), "float64")
    | dict.fromkeys(("box_left_um", "box_top_um", "box_width_um", "box_height_um"), "float64")
    | {"perimeter_um": "float64", "unlike_training": "string"}
)
"""Columns and their types; those of the channels are inserted before the last."""
_EQUAL_SIDES = 1e-4
"""Relative difference of a square pixel's sides, which files round."""


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
    square. The columns `mean_channel_1` and so on hold the mean intensity of each channel.

    Args:
        objects: The objects.
        image: `(height, width, channels)` at any bit depth.
        image_name: Name of the image in the table.
        class_names: Names of the classes, the background first.
        pixel_size: Size of a pixel; None where unknown.
        unlike_training: How the image differs from those of the training; empty if it does not.

    Returns:
        A row for each object in the order of their numbers, with the columns `COLUMNS` and those
        of the channels.

    Raises:
        InputError: A class has no name.
    """
    from skimage.measure import regionprops_table

    names = objects.name_classes(class_names)
    properties = ("label", "area", "centroid", "bbox", "perimeter", "intensity_mean")
    found = regionprops_table(objects.numbers, image, properties)
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
    table["image"], table["class"] = image_name, names
    table["unlike_training"] = unlike_training
    _add_micrometres(table, pixel_size)
    channels = [f"mean_channel_{channel + 1}" for channel in range(image.shape[2])]
    for channel, column in enumerate(channels):
        table[column] = found[f"intensity_mean-{channel}"]
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
