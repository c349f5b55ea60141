"""Objects as regions of interest for ImageJ's ROI Manager."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import roifile
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.instances.contours import Polygon, trace_outlines
from unetflow.instances.extraction import Objects
from unetflow.visualization.overlays import paint_classes

_LARGEST_WHOLE = 60_535
"""Largest coordinate that ImageJ reads as an integer of two bytes."""
_MOVE_TO, _LINE_TO, _CLOSE = 0.0, 1.0, 4.0
"""Types of a path's segments, as in `java.awt.geom.PathIterator`."""
_READABLE = 0o644 << 16


def write_imagej_rois(path: Path, objects: Objects, class_names: Sequence[str]) -> None:
    """Write a zip archive with a region for each object, replaced in one step.

    A region's name is its class and number. Objects with one outline are traced regions, those
    with holes or several parts composite regions; both follow the edges of pixels.

    Args:
        path: File to create or replace; its name should end in .zip.
        objects: The objects of one image.
        class_names: Names of the classes, the background first.

    Raises:
        InputError: A class has no name.
    """
    names = objects.name_classes(class_names)
    colours = paint_classes(objects.classes)
    digits = len(str(len(names)))
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for number, polygons in trace_outlines(objects.numbers).items():
            region = _make_region(polygons)
            # The manager lists names in the archive's order; zeros keep it when sorted.
            region.name = f"{_clean(names[number - 1])} {number:0{digits}}"
            region.stroke_color = b"\xff" + colours[number - 1].tobytes()
            # Without a time, the same objects give the same bytes.
            entry = zipfile.ZipInfo(f"{region.name}.roi")
            entry.external_attr = _READABLE
            archive.writestr(entry, region.tobytes(), zipfile.ZIP_DEFLATED)


def _clean(name: str) -> str:
    """Replace characters that file names do not allow, or that UTF-16 needs four bytes for."""
    return re.sub(r"[^\w -]|[^\u0000-\uffff]", "_", name)


def _make_region(polygons: Sequence[Polygon]) -> roifile.ImagejRoi:
    rings = [ring for polygon in polygons for ring in polygon]
    corners = np.concatenate(rings)
    if len(rings) == 1 and corners.max() <= _LARGEST_WHOLE:
        region = roifile.ImagejRoi.frompoints(corners)
        region.roitype = roifile.ROI_TYPE.TRACED
    else:
        path = _make_path(polygons)
        region = roifile.ImagejRoi(
            roitype=roifile.ROI_TYPE.RECT, shape_roi_size=len(path), multi_coordinates=path
        )
    region.left, region.top = (int(lowest) for lowest in corners.min(axis=0))
    region.right, region.bottom = (int(highest) for highest in corners.max(axis=0))
    return region


def _make_path(polygons: Sequence[Polygon]) -> NDArray[np.float32]:
    """Return all rings as one path with the even-odd filling rule."""
    parts = []
    for ring in (ring for polygon in polygons for ring in polygon):
        segments = np.full((len(ring), 3), _LINE_TO, np.float32)
        segments[0, 0] = _MOVE_TO
        segments[:, 1:] = ring
        parts += [segments.ravel(), np.array([_CLOSE], np.float32)]
    return np.concatenate(parts)
