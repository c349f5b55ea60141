"""A table of images: what was found in each, and why nothing could be."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.io.pixel_size import PixelSize

Findings = Mapping[str, float]
"""Values of an image by the name of their column; missing ones are unknown."""
_SHOWN_CLASSES = 6
"""Classes that a sentence names."""


def image_columns(class_names: Sequence[str]) -> dict[str, str]:
    """Return the columns of the table and their types; see `tabulate_images`."""
    columns = {"image": "string"}
    for name in class_names[1:]:
        columns |= {f"count_{name}": "Int64", f"area_{name}_px": "Int64"}
        columns |= {f"area_{name}_um2": "float64", f"fraction_{name}": "float64"}
        columns[f"mean_confidence_{name}"] = "float64"
    return columns | {"unlike_training": "string", "reason": "string"}


def summarise_image(
    class_pixels: NDArray[np.int64],
    objects: pd.DataFrame | None,
    class_names: Sequence[str],
    pixel_size: PixelSize | None = None,
) -> dict[str, float]:
    """Summarise what was found in an image.

    Args:
        class_pixels: `(classes,)`, the number of pixels of each class in the label.
        objects: The table of `objects.measure_objects`, also with a column `confidence`; None where
            objects were not separated.
        class_names: Names of the classes, the background first.
        pixel_size: The size of a pixel; None where unknown.

    Returns:
        For each class except the background the values of the columns of `tabulate_images`.
    """
    size = None if pixel_size is None else pixel_size.in_unit("µm")
    square = math.nan if size is None else size.x * size.y
    pixels, found = int(class_pixels.sum()), {}
    for index, name in enumerate(class_names[1:], start=1):
        found[f"fraction_{name}"] = int(class_pixels[index]) / pixels if pixels else math.nan
        if objects is None:
            continue
        own = objects[objects["class"] == name]
        area = int(own["area_px"].sum())
        found |= {f"count_{name}": len(own), f"area_{name}_px": area}
        found[f"area_{name}_um2"] = area * square
        if "confidence" in own:
            found[f"mean_confidence_{name}"] = float(own["confidence"].mean())
    return found


def tabulate_images(
    images: Sequence[tuple[str, Findings, str, str]], class_names: Sequence[str]
) -> pd.DataFrame:
    """Return a table with a row for each image, also for those without objects or results.

    For each class, such as `cell`, the columns are `count_cell`, the number of its objects;
    `area_cell_px` and `area_cell_um2`, their area together in pixels and square micrometres;
    `fraction_cell`, the fraction of the image's pixels that the class covers; and
    `mean_confidence_cell`, the mean confidence of its objects. A value is missing where it is
    unknown: objects that were not separated, pixels without a size, a mean over no objects.
    `unlike_training` says how the image differs from the training images, and `reason` why it could
    not be segmented; both are empty where there is nothing to say.

    Args:
        images: For each its name, what `summarise_image` returns (nothing if it was not segmented),
            `unlike_training` and `reason`.
        class_names: Names of the classes, the background first.
    """
    columns = image_columns(class_names)
    rows = [
        {**found, "image": name, "unlike_training": unlike, "reason": reason}
        for name, found, unlike, reason in images
    ]
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def describe_counts(table: pd.DataFrame, class_names: Sequence[str]) -> str:
    """Say how many objects were found, as in "2 images, 31 objects of class 'cell', 0 to 31 ...".

    Args:
        table: See `tabulate_images`.
        class_names: Names of the classes, the background first.
    """
    segmented = table[table["reason"] == ""]
    failed, names = len(table) - len(segmented), class_names[1:]
    counts = segmented[[f"count_{name}" for name in names]].dropna()
    sentence = _number(len(segmented), "image")
    if len(counts):
        totals = counts.sum().to_numpy(np.int64)
        # The classes with most objects, in the order of the classes.
        shown = sorted(np.argsort(-totals, kind="stable")[:_SHOWN_CLASSES])
        parts = [_describe_class(names[index], counts.iloc[:, index]) for index in shown]
        if left := len(names) - len(shown):
            parts.append(f"and {_number(left, 'more class', 'more classes')}")
        sentence += f", {'; '.join(parts)}"
    elif len(segmented):
        sentence += ", whose objects were not separated"
    if len(counts) and (uncounted := len(segmented) - len(counts)):
        sentence += f"; the objects of {_number(uncounted, 'image')} were not separated"
    return sentence + (f"; {_number(failed, 'more image')} failed" if failed else "")


def _describe_class(name: str, counts: pd.Series) -> str:
    """Describe the counts of a class: their sum, and their range where there are several."""
    found = f"{_number(int(counts.sum()), 'object')} of class '{name}'"
    return found if len(counts) == 1 else f"{found}, {counts.min():,} to {counts.max():,} an image"


def _number(count: int, noun: str, nouns: str = "") -> str:
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"
