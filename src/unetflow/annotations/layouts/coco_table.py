"""The layout `coco`: images in a folder, and their objects in one JSON file in COCO's format."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, FailFast, Field

from unetflow.annotations import tables
from unetflow.annotations.geometries import ObjectPart, Polygon, RunLengths
from unetflow.annotations.raster import ShapeAnnotation, ShapedObject, SourceImage
from unetflow.annotations.records import Pair, Pairing, build_pairing, list_images, without_suffix
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.readers import is_image


def find_coco(
    listing: FileListing, *, annotations: str, images: str = ".", empty: str = "negative"
) -> Pairing:
    """Find images whose objects are listed in a JSON file like that of the COCO data set.

    Options:
        annotations: The JSON file.
        images: The folder that its `file_name`s start from, searched with its subfolders.
        empty: What an image without any annotation in the file is: "negative", an image without
            objects, or "unlabelled".
    """
    if empty not in ("negative", "unlabelled"):
        problem = f"{tables.shorten(empty)} is not a choice"
        raise InputError("empty", problem, "Use 'negative' or 'unlabelled'")
    file = listing.file(annotations)
    table = _read_table(file)
    files, refused = list_images(listing, images)
    ids = _count(table.images, "id")
    for image_id, found in table.annotations.items():
        if image_id not in ids:
            where = f"{file}, image {tables.shorten(image_id)}"
            problem = f"{len(found)} annotations are of it, but it is not among the `images`"
            refused.append(InputError(where, problem, tables.AGAIN))
    file_names = map(str, _count(table.images, "file_name").elements())
    names = Counter(tables.resolve_path(".", name) for name in file_names)
    pairs, unlabelled = [], []
    for number, record in enumerate(table.images):
        try:
            image = tables.parse_record(_Image, record, f"{file}, images[{number}]")
            where = f"{file}, image {tables.shorten(image.id)}"
            name = _resolve_name(image.file_name, files, where)
            if ids[image.id] > 1 or names[name] > 1:
                raise InputError(where, "its id or its file_name is not unique", tables.AGAIN)
            where = f"{file}[{name}]"
            size = tables.read_size(record, "height", "width", where)
            found = table.annotations.get(image.id, [])
            objects = tuple(_read_object(annotation, table, where) for annotation in found)
        except InputError as error:
            refused.append(error)
            continue
        if objects or empty == "negative":
            annotation = ShapeAnnotation(objects, where, size)
            pairs.append(Pair(without_suffix(name), SourceImage(files[name]), annotation))
        else:
            unlabelled.append((without_suffix(name), files[name]))
    unlabelled += [(without_suffix(name), files[name]) for name in files if name not in names]
    return build_pairing(pairs, unlabelled, refused)


class _Lists(tables.Record):
    images: list[dict[str, Any]]
    annotations: list[Any]
    categories: list[Any]


class _Image(tables.Record):
    id: tables.Identifier
    file_name: str


class _Category(tables.Record):
    id: tables.Identifier
    name: str


class _Reference(tables.Record):
    image_id: tables.Identifier


class _Annotation(tables.Record):
    id: tables.Identifier
    category_id: tables.Identifier
    iscrowd: Literal[0, 1, None] = None
    segmentation: Any = None


def _check_corners(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError("it must hold x and y of at least 3 corners")
    return numbers


_Outline = Annotated[
    tuple[tables.Coordinate, ...], Field(strict=False), FailFast(), AfterValidator(_check_corners)
]


class _Outlines(tables.Record):
    segmentation: Annotated[list[_Outline], FailFast()]


@dataclass(frozen=True)
class _Table:
    """The content of a file."""

    images: list[dict[str, Any]]
    annotations: dict[int | str, list[dict[str, Any]]]  # by the id of their image
    names: dict[int | str, str]  # of the categories by id
    counts: Counter[int | str]  # of the annotations' ids


def _read_table(file: File) -> _Table:
    lists = tables.parse_record(_Lists, tables.read_json(file), file)
    by_image: dict[int | str, list[dict[str, Any]]] = defaultdict(list)
    for number, record in enumerate(lists.annotations):
        # Without this id it is unknown which image is incomplete: the whole file is wrong.
        where = f"{file}, annotations[{number}]"
        by_image[tables.parse_record(_Reference, record, where).image_id].append(record)
    names: dict[int | str, str] = {}
    for number, record in enumerate(lists.categories):
        where = f"{file}, categories[{number}]"
        category = tables.parse_record(_Category, record, where)
        if category.id in names:
            problem = f"its id {tables.shorten(category.id)} is not unique"
            raise InputError(where, problem, tables.AGAIN)
        names[category.id] = category.name
    return _Table(lists.images, by_image, names, _count(lists.annotations, "id"))


def _count(records: Iterable[dict[str, Any]], key: str) -> Counter[int | str]:
    """Count the ids under a key; other values do not count."""
    values = (record.get(key) for record in records)
    return Counter(value for value in values if isinstance(value, int | str))


def _resolve_name(file_name: str, files: Mapping[str, File], where: str) -> str:
    """Return an image's path in the folder of images."""
    name = tables.resolve_path(".", file_name)
    if name is not None and name in files:
        return name
    shown = tables.shorten(file_name)
    if name is None:
        problem = f"its file_name {shown} leads out of the folder of images"
        fix = "Write it as a path that starts from there"
    elif not is_image(name):
        problem, fix = f"no reader knows its file {shown}", "Convert it to PNG or TIFF"
    else:
        problem = f"its file {shown} is not in the folder of images"
        fix = "Add the image, or correct `images`"
    raise InputError(where, problem, fix)


def _read_object(record: dict[str, Any], table: _Table, image: str) -> ShapedObject:
    place = f"annotation {tables.shorten(record.get('id'))}"
    where = f"{image}, {place}"
    annotation = tables.parse_record(_Annotation, record, where)
    if table.counts[annotation.id] > 1:
        raise InputError(where, "its id is not unique", tables.AGAIN)
    if annotation.category_id not in table.names:
        problem = f"there is no category with the id {tables.shorten(annotation.category_id)}"
        raise InputError(where, problem, tables.AGAIN)
    name, parts = table.names[annotation.category_id], _read_parts(annotation.segmentation, where)
    return ShapedObject(name, parts, place, ignored=bool(annotation.iscrowd))


def _read_parts(segmentation: Any, where: str) -> tuple[ObjectPart, ...]:
    match segmentation:
        case {"size": [int(height), int(width)], "counts": str(counts)}:
            return (RunLengths(counts, (height, width)),)
        case {"size": [int(height), int(width)], "counts": [*numbers]}:
            if all(type(number) is int for number in numbers):
                return (RunLengths(tuple(numbers), (height, width)),)
        case [_, *_]:
            outlines = tables.parse_record(_Outlines, {"segmentation": segmentation}, where)
            return tuple(map(Polygon, outlines.segmentation))
    if isinstance(segmentation, dict):
        problem = "its runs are without 'size' or 'counts', or they are wrong"
        raise InputError(where, problem, tables.AGAIN)
    problem = "it has no outline in 'segmentation', perhaps only a box"
    raise InputError(where, problem, "Annotate outlines, or remove it")
