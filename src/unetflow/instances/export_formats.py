"""Objects in the formats of other programs: QuPath, ImageJ and COCO.

Each writer creates or replaces its file in one step. Names of classes have the background first.
"""

import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import roifile

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.core.spool import in_order
from unetflow.instances.contours import Polygon
from unetflow.instances.shapes import AnyObjects, run_lengths, trace
from unetflow.visualization.overlays import paint_classes

MAX_COCO_PIXELS = 2**32 - 1
"""Largest width times height of an image whose run lengths pycocotools can store."""
KINDS = ("annotation", "detection")
_LARGEST_WHOLE = 60_535
"""Largest coordinate that ImageJ reads as an integer of two bytes."""
_MOVE_TO, _LINE_TO, _CLOSE = 0.0, 1.0, 4.0
"""Types of a path's segments, as in `java.awt.geom.PathIterator`."""
_READABLE = 0o644 << 16


def write_geojson(
    path: Path, objects: AnyObjects, class_names: Sequence[str], kind: str = "annotation"
) -> None:
    """Write a GeoJSON feature for each object in the form of QuPath (0.4 and later), in one step.

    Coordinates are pixels from the image's upper left corner, x before y. Outlines follow the edges
    of pixels, and holes are inner rings. An object in several parts is a MultiPolygon. The classes
    have the colours of the overlays, and the same object has the same id in every export. The
    confidence of an object, where it is known, is a measurement.

    The kind is "annotation" for objects to edit, or "detection" for thousands of objects, which
    QuPath shows faster.

    Raises:
        InputError: The kind is unknown, or a class has no name.
    """
    if kind not in KINDS:
        raise InputError(
            "kind", f"{kind!r} is not a kind of object", "Use 'annotation' or 'detection'"
        )
    names = objects.name_classes(class_names)
    colours = paint_classes(objects.classes).tolist()

    def make_feature(number: int, polygons: Sequence[Polygon]) -> bytes:
        name = names[number - 1]
        properties = {
            "objectType": kind,
            "name": f"{name} {number}",
            "classification": {"name": name, "color": colours[number - 1]},
        }
        feature = {"type": "Feature", "geometry": _geometry(polygons), "properties": properties}
        # QuPath identifies an object by a UUID. That of its content (version 5 of RFC 9562) is the
        # same in every export.
        identity = str(uuid5(NAMESPACE_OID, json.dumps(feature)))
        if objects.confidence is not None:
            properties["measurements"] = {"confidence": float(objects.confidence[number - 1])}
        return _pack({**feature, "id": identity}).encode()

    features = ((number, make_feature(number, found)) for number, found in trace(objects))
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(b'{"type":"FeatureCollection","features":[')
        for position, (_, feature) in enumerate(in_order(features, len(names))):
            file.write(b"," * (position > 0) + feature)
        file.write(b"]}")


def _geometry(polygons: Sequence[Polygon]) -> dict[str, Any]:
    # Rings repeat their first corner at the end, as RFC 7946, section 3.1.6, asks.
    coordinates = [
        [[*corners, corners[0]] for corners in (ring.tolist() for ring in polygon)]
        for polygon in polygons
    ]
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def write_imagej_rois(path: Path, objects: AnyObjects, class_names: Sequence[str]) -> None:
    """Write a zip archive with a region for ImageJ's ROI Manager for each object, in one step.

    A region's name is its class and number. Objects with one outline are traced regions, those
    with holes or several parts composite regions; both follow the edges of pixels. The file's name
    should end in .zip.

    Raises:
        InputError: A class has no name.
    """
    names = objects.name_classes(class_names)
    colours = paint_classes(objects.classes)
    digits = len(str(len(names)))

    def name_region(number: int) -> str:
        # Replace what file names do not allow, or what UTF-16 needs four bytes for.
        clean = re.sub(r"[^\w -]|[^\u0000-\uffff]", "_", names[number - 1])
        # The manager lists names in the archive's order; zeros keep it when sorted.
        return f"{clean} {number:0{digits}}"

    def make_entry(number: int, polygons: Sequence[Polygon]) -> bytes:
        region = _make_region(polygons)
        region.name = name_region(number)
        region.stroke_color = b"\xff" + colours[number - 1].tobytes()
        return bytes(region.tobytes())

    regions = ((number, make_entry(number, found)) for number, found in trace(objects))
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for number, region in in_order(regions, len(names)):
            # Without a time, the same objects give the same bytes.
            entry = zipfile.ZipInfo(f"{name_region(number)}.roi")
            entry.external_attr = _READABLE
            archive.writestr(entry, region, zipfile.ZIP_DEFLATED)


def _make_region(polygons: Sequence[Polygon]) -> roifile.ImagejRoi:
    rings = [ring for polygon in polygons for ring in polygon]
    corners = np.concatenate(rings)
    if len(rings) == 1 and corners.max() <= _LARGEST_WHOLE:
        region = roifile.ImagejRoi.frompoints(corners)
        region.roitype = roifile.ROI_TYPE.TRACED
    else:  # all rings as one path with the even-odd filling rule
        parts = []
        for ring in rings:
            segments = np.full((len(ring), 3), _LINE_TO, np.float32)
            segments[0, 0] = _MOVE_TO
            segments[:, 1:] = ring
            parts += [segments.ravel(), np.array([_CLOSE], np.float32)]
        path = np.concatenate(parts)
        region = roifile.ImagejRoi(
            roitype=roifile.ROI_TYPE.RECT, shape_roi_size=len(path), multi_coordinates=path
        )
    region.left, region.top = (int(lowest) for lowest in corners.min(axis=0))
    region.right, region.bottom = (int(highest) for highest in corners.max(axis=0))
    return region


def write_coco(
    path: Path, images: Iterable[tuple[str, AnyObjects]], class_names: Sequence[str]
) -> None:
    """Write the objects of any number of images into one file, replaced in one step.

    The categories are the classes except the background, with the class indices as ids, and the
    masks are compressed run lengths of pycocotools. `score` is the confidence of an object, where
    it is known. File name and objects of each image are read one at a time; only the names and
    sizes stay in memory.

    Raises:
        InputError: A class has no name.
    """
    listed: list[dict[str, Any]] = []
    count = 0
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"annotations":[')
        for image_id, (file_name, objects) in enumerate(images, start=1):
            objects.name_classes(class_names)
            height, width = objects.shape
            size = {"width": width, "height": height}
            listed.append({"id": image_id, "file_name": file_name, **size})
            for annotation in _annotate(objects):
                count += 1
                ids = {"id": count, "image_id": image_id}
                file.write((count > 1) * "," + _pack(ids | annotation))
        categories = [
            {"id": index, "name": name} for index, name in enumerate(class_names) if index > 0
        ]
        file.write(f'],"images":{_pack(listed)},"categories":{_pack(categories)}}}')


def _pack(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))


def _annotate(objects: AnyObjects) -> Iterator[dict[str, Any]]:
    """Yield the annotation of each object, without its ids."""
    from pycocotools import mask as coco_masks

    lengths = ((number, counts.tobytes()) for number, counts in run_lengths(objects))
    for number, counts in in_order(lengths, len(objects.classes)):
        # One at a time, since pycocotools 2.0.11 fails for more than 255 objects under NumPy 2.
        plain = {"size": list(objects.shape), "counts": np.frombuffer(counts, np.int64).tolist()}
        run = coco_masks.frPyObjects(plain, *objects.shape)
        known = objects.confidence
        yield {
            "category_id": int(objects.classes[number - 1]),
            "segmentation": {"size": run["size"], "counts": run["counts"].decode("ascii")},
            "area": int(coco_masks.area(run)),
            "bbox": coco_masks.toBbox(run).tolist(),
            "iscrowd": 0,
            **({} if known is None else {"score": float(known[number - 1])}),
        }
