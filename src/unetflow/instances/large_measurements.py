"""Measurements of the objects of a large image."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import skimage as ski

from unetflow.instances.large_objects import MAX_WINDOW, LargeObjects
from unetflow.instances.objects import complete_table, measure_pixels
from unetflow.io.lazy_image import LazyImage

_POSITIONS = {"centroid_x_px": 1, "centroid_y_px": 0, "box_left_px": 1, "box_top_px": 0}
"""Columns that are distances from the upper left corner, with their axes."""
_SHARED_ROWS = 8
"""Rows that two strips of an object share. A perimeter depends on two rows on each side."""


def measure_large_objects(
    objects: LargeObjects,
    image: LazyImage,
    image_name: str,
    class_names: Sequence[str],
    unlike_training: str = "",
) -> pd.DataFrame:
    """Measure each object of a large image, read part by part; see `objects.measure_objects`.

    Huge objects are measured strip by strip; the means of their intensities are those of sums in
    float64.

    Raises:
        InputError: A class has no name, or a file is damaged.
    """
    names = objects.name_classes(class_names)
    tables = [measure_pixels(np.zeros((1, 1), np.uint32), np.zeros((1, 1, image.shape[2])))]
    for window in objects.windows():
        table = measure_pixels(window.numbers, image.read(window.rows, window.columns))
        table["object"] = window.members[table["object"] - 1]
        corner = window.rows[0], window.columns[0]
        for column, axis in _POSITIONS.items():
            table[column] += corner[axis]
        tables.append(table)
    tables += [_measure_strips(objects, image, int(number)) for number in objects.huge]
    filled = [table for table in tables if len(table)]
    table = pd.concat(filled or tables, ignore_index=True).sort_values("object", ignore_index=True)
    table["image"], table["class"] = image_name, names
    table["confidence"] = np.nan if objects.confidence is None else objects.confidence
    return complete_table(table, image.pixel_size, unlike_training)


def _measure_strips(objects: LargeObjects, image: LazyImage, number: int) -> pd.DataFrame:
    """Measure one object; see `objects.measure_pixels`.

    The perimeter is a sum over pixels, each of which sees two rows on either side of it. At the cut
    edges of a strip it is wrong, and by the same amount at those of what two strips share.
    """
    top, left, bottom, right = map(int, objects.boxes[number - 1])
    step = max(MAX_WINDOW // (right - left), _SHARED_ROWS)
    area, length = 0, 0.0
    centre, means = np.zeros(2), np.zeros(image.shape[2])
    with objects.open_mask(number) as read:
        for first in range(top, bottom, step):
            last = min(first + step, bottom)
            end = min(last + _SHARED_ROWS, bottom)
            inside = read((first - top, end - top), (0, right - left))
            length += ski.measure.perimeter(inside)
            if last < bottom:
                length -= ski.measure.perimeter(inside[last - first :])
            own = inside[: last - first]
            area += int(np.count_nonzero(own))
            centre += (
                np.arange(first, last) @ own.sum(axis=1),
                np.arange(left, right) @ own.sum(axis=0),
            )
            means += image.read((first, last), (left, right))[own].sum(axis=0, dtype=np.float64)
    found = {
        "object": number,
        "area_px": area,
        "centroid_x_px": centre[1] / area + 0.5,
        "centroid_y_px": centre[0] / area + 0.5,
        "box_left_px": left,
        "box_top_px": top,
        "box_width_px": right - left,
        "box_height_px": bottom - top,
        "perimeter_px": length,
    }
    channels = {f"mean_channel_{n}": value for n, value in enumerate(means / area, start=1)}
    return pd.DataFrame([found | channels])
