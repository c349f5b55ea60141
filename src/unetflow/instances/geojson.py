"""Objects as GeoJSON polygons, which QuPath opens."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.instances.contours import Polygon, Ring, trace_outlines
from unetflow.instances.extraction import Objects
from unetflow.visualization.overlays import paint_classes

KINDS = ("annotation", "detection")


def write_geojson(
    path: Path, objects: Objects, class_names: Sequence[str], kind: str = "annotation"
) -> None:
    """Write a feature for each object in the form of QuPath (0.4 and later), in one step.

    Coordinates are pixels from the image's upper left corner, x before y. Outlines follow the edges
    of pixels, and holes are inner rings. An object in several parts is a MultiPolygon. The classes
    have the colours of the overlays, and the same object has the same id in every export.

    Args:
        path: File to create or replace.
        objects: The objects of one image.
        class_names: Names of the classes, the background first.
        kind: "annotation" for objects to edit, "detection" for thousands of objects, which QuPath
            shows faster.

    Raises:
        InputError: The kind is unknown, or a class has no name.
    """
    if kind not in KINDS:
        raise InputError(
            "kind", f"{kind!r} is not a kind of object", "Use 'annotation' or 'detection'"
        )
    names = objects.name_classes(class_names)
    colours = paint_classes(objects.classes).tolist()
    features = [
        _with_id(
            {
                "type": "Feature",
                "geometry": _geometry(polygons),
                "properties": {
                    "objectType": kind,
                    "name": f"{names[number - 1]} {number}",
                    "classification": {"name": names[number - 1], "color": colours[number - 1]},
                },
            }
        )
        for number, polygons in trace_outlines(objects.numbers).items()
    ]
    content = {"type": "FeatureCollection", "features": features}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def _with_id(feature: dict[str, Any]) -> dict[str, Any]:
    """Add a UUID, by which QuPath identifies an object.

    It is computed from the feature's content (version 5 of RFC 9562), so that it is the same in
    every export.
    """
    return {**feature, "id": str(uuid5(NAMESPACE_OID, json.dumps(feature)))}


def _geometry(polygons: Sequence[Polygon]) -> dict[str, Any]:
    coordinates = [[_close(ring) for ring in polygon] for polygon in polygons]
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _close(ring: Ring) -> list[list[int]]:
    """Repeat the first corner at the end, as GeoJSON asks (RFC 7946, section 3.1.6)."""
    corners: list[list[int]] = ring.tolist()
    return [*corners, corners[0]]
