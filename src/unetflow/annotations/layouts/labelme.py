"""The layout `labelme`: a JSON file for each image, as LabelMe writes it."""

import base64
import posixpath
from collections import Counter, defaultdict
from typing import Annotated, Any

from pydantic import FailFast, Field

from unetflow.annotations import tables
from unetflow.annotations.geometries import Circle, ObjectPart, Patch, Polygon
from unetflow.annotations.raster import ShapeAnnotation, ShapedObject, SourceImage
from unetflow.annotations.records import (
    Pair,
    Pairing,
    build_pairing,
    folder_prefix,
    list_images,
    without_suffix,
)
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.formats.readers import is_image


def find_labelme(
    listing: FileListing, *, annotations: str = ".", images: str | None = None
) -> Pairing:
    """Find images that were annotated with LabelMe.

    An image is the target of its JSON file's `imagePath`, or else has the same name as the JSON
    file and lies beside it or in the folder of images. That folder's other images are unlabelled.

    Options:
        annotations: Folder of JSON files, searched with its subfolders.
        images: Folder of images, likewise; None: they lie with the JSON files.
    """
    folder = annotations if images is None else images
    prefix, (files, refused) = folder_prefix(folder), list_images(listing, folder)
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in filter(is_image, listing.files):
        by_stem[without_suffix(name)].append(name)
    names = [name for name in listing.within(annotations) if name.lower().endswith(".json")]
    if not names:
        problem = "the folder holds no JSON file"
        fix = "Put LabelMe's files there, or correct `annotations`"
        raise InputError(listing.root / annotations, problem, fix)
    counts, found = Counter[str](), list[tuple[str, ShapeAnnotation]]()
    for name in names:
        table, stem = folder_prefix(annotations) + name, without_suffix(name)
        namesakes = by_stem.get(without_suffix(table)) or by_stem.get(prefix + stem, [])
        image = None
        try:
            record = tables.read_json(listing.files[table])
            if not isinstance(record.get("shapes"), list):
                problem = "it is not a file of LabelMe: it has no list 'shapes'"
                fix = "Move it out of the folder, or correct `annotations`"
                raise InputError(listing.files[table], problem, fix)
            image = _find_image(listing, table, record, namesakes)
            found.append((image, _read_annotation(record, str(listing.files[table]))))
        except InputError as error:
            refused.append(error)
        # An image whose annotation is wrong is not unlabelled.
        counts.update([image] if image else namesakes)
    pairs = []
    for image, annotation in found:
        if counts[image] > 1:
            problem = f"another file annotates its image '{image}' too"
            refused.append(InputError(annotation.where, problem, "Remove one"))
        else:
            identifier = without_suffix(image.removeprefix(prefix))
            pairs.append(Pair(identifier, SourceImage(listing.files[image]), annotation))
    others = [(without_suffix(n), file) for n, file in files.items() if prefix + n not in counts]
    return build_pairing(pairs, others, refused)


def _find_image(
    listing: FileListing, table: str, record: dict[str, Any], namesakes: list[str]
) -> str:
    """Return the path of the image that a JSON file annotates: its target, or else a namesake."""
    path = record.get("imagePath")
    folder = posixpath.dirname(table)
    target = tables.resolve_path(folder, path) if isinstance(path, str) else None
    if target in listing.files and is_image(target):
        return target
    if len(namesakes) == 1:
        return namesakes[0]
    if namesakes:
        problem = f"several images have its name: {', '.join(namesakes)}"
        raise InputError(listing.files[table], problem, "Remove all but one of them")
    problem = f"there is no image at its imagePath {tables.shorten(path)}, and none of its name"
    fix = "Put the image beside it, or correct `images`"
    if record.get("imageData"):
        problem += "; only a copy of it is in the JSON file"
        fix = "Export the image out of the JSON file, as `labelme_export_json` does"
    raise InputError(listing.files[table], problem, fix)


class _Shape(tables.Record):
    label: str
    points: Annotated[
        list[Annotated[tuple[tables.Coordinate, tables.Coordinate], Field(strict=False)]],
        FailFast(),
    ]
    shape_type: Any = None
    group_id: tables.Identifier | None = None
    mask: Any = None


def _read_annotation(record: dict[str, Any], where: str) -> ShapeAnnotation:
    """Read the objects; shapes with the same label and `group_id` are one."""
    size = tables.read_size(record, "imageHeight", "imageWidth", where)
    parts: dict[tuple[Any, ...], list[ObjectPart]] = defaultdict(list)
    places: dict[tuple[Any, ...], str] = {}
    for number, value in enumerate(record["shapes"]):
        place = f"shapes[{number}]"
        shape = tables.parse_record(_Shape, value, f"{where}, {place}")
        key = (shape.label, shape.group_id, number if shape.group_id is None else None)
        places.setdefault(key, place)
        parts[key].append(_to_part(shape, f"{where}, {place}"))
    objects = (ShapedObject(key[0], tuple(parts[key]), place) for key, place in places.items())
    return ShapeAnnotation(tuple(objects), where, size)


def _to_part(shape: _Shape, where: str) -> ObjectPart:
    kind = shape.shape_type or "polygon"
    match kind, shape.points:
        case ("polygon", [_, _, _, *_]) | ("rectangle" | "oriented_rectangle", [_, _, _, _]):
            return Polygon(tuple(number for point in shape.points for number in point))
        case "rectangle", [(x, y), (other_x, other_y)]:
            return Polygon((x, y, other_x, y, other_x, other_y, x, other_y))
        case "circle", [(x, y), (rim_x, rim_y)]:
            return Circle(x, y, rim_x, rim_y)
        case "mask", [(x, y), (other_x, other_y)]:
            box = (round(x), round(y), round(other_x), round(other_y))
            try:
                return Patch(base64.b64decode(shape.mask, validate=True), box)
            except (TypeError, ValueError) as error:
                problem = "its mask is not a text in base64"
                raise InputError(where, problem, "Draw the object again") from error
        case (("point" | "points" | "line" | "linestrip"), _):
            problem = f"a {kind} has no area"
            raise InputError(where, problem, "Draw a polygon around the object, or remove it")
    problem = f"there is no shape {tables.shorten(kind)} with {len(shape.points)} points"
    raise InputError(where, problem, "Draw the object again as a polygon")
