"""The layout `coco`: images in a folder, and their objects in one JSON file in COCO's format."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, FailFast, Field

from unetflow.annotations.geometries import Geometry, Polygon, RunLengths
from unetflow.annotations.paths import (
    list_images,
    refuse_unsupported_formats,
    resolve_path,
    without_suffix,
)
from unetflow.annotations.records import Pair, Pairing, SourceImage, build_pairing
from unetflow.annotations.shapes import ShapeAnnotation, ShapedObject
from unetflow.annotations.tables import (
    AGAIN,
    Coordinate,
    Identifier,
    Record,
    parse_record,
    read_json,
    read_size,
    shorten,
)
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.readers import is_image


def find_coco(
    listing: FileListing, *, annotations: str, images: str = ".", empty: str = "negative"
) -> Pairing:
    """Find images whose objects are listed in a JSON file like that of the COCO data set.

    Args:
        listing: The files.
        annotations: The JSON file.
        images: The folder that its `file_name`s start from, searched with its subfolders.
        empty: What an image without any annotation in the file is: "negative", an image without
            objects, or "unlabelled".

    Returns:
        A pair for each image that the file lists; the folder's other images are unlabelled.

    Raises:
        InputError: The file or the folder does not exist, or the file as a whole is wrong.
    """
    if empty not in ("negative", "unlabelled"):
        problem = f"{shorten(empty)} is not a choice"
        raise InputError("empty", problem, "Use 'negative' or 'unlabelled'")
    table = _read_table(listing.file(annotations))
    files = list_images(listing, images)
    refused = [*listing.refused, *refuse_unsupported_formats(listing, {images})]
    ids = _count(table.images, "id")
    refused += [
        InputError(
            f"{table.file}, image {shorten(image_id)}",
            f"{len(records)} annotations are of it, but it is not among the `images`",
            AGAIN,
        )
        for image_id, records in table.annotations.items()
        if image_id not in ids
    ]
    file_names = _count(table.images, "file_name").elements()
    names = Counter(resolve_path(".", str(name)) for name in file_names)
    pairs, unlabelled = [], []
    for number, record in enumerate(table.images):
        try:
            image = parse_record(_Image, record, f"{table.file}, images[{number}]")
            where = f"{table.file}, image {shorten(image.id)}"
            name = _resolve_name(image.file_name, files, where)
            if ids[image.id] > 1 or names[name] > 1:
                raise InputError(where, "its id or its file_name is not unique", AGAIN)
            where = f"{table.file}[{name}]"
            size = read_size(record, "height", "width", where)
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


class _Lists(Record):
    images: list[dict[str, Any]]
    annotations: list[Any]
    categories: list[Any]


class _Image(Record):
    id: Identifier
    file_name: str


class _Category(Record):
    id: Identifier
    name: str


class _Reference(Record):
    image_id: Identifier


class _Annotation(Record):
    id: Identifier
    category_id: Identifier
    iscrowd: Literal[0, 1, None] = None
    segmentation: Any = None


def _check_corners(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError("it must hold x and y of at least 3 corners")
    return numbers


_Outline = Annotated[
    tuple[Coordinate, ...], Field(strict=False), FailFast(), AfterValidator(_check_corners)
]


class _Outlines(Record):
    segmentation: Annotated[list[_Outline], FailFast()]


@dataclass(frozen=True)
class _Table:
    """The content of a file."""

    file: File
    images: list[dict[str, Any]]
    annotations: dict[int | str, list[dict[str, Any]]]  # by the id of their image
    names: dict[int | str, str]  # of the categories by id
    repeated: set[int | str]  # ids that several annotations have


def _read_table(file: File) -> _Table:
    lists = parse_record(_Lists, read_json(file), file)
    by_image: dict[int | str, list[dict[str, Any]]] = defaultdict(list)
    for number, record in enumerate(lists.annotations):
        # Without this id it is unknown which image is incomplete: the whole file is wrong.
        image_id = parse_record(_Reference, record, f"{file}, annotations[{number}]").image_id
        by_image[image_id].append(record)
    names: dict[int | str, str] = {}
    for number, record in enumerate(lists.categories):
        where = f"{file}, categories[{number}]"
        category = parse_record(_Category, record, where)
        if category.id in names:
            raise InputError(where, f"its id {shorten(category.id)} is not unique", AGAIN)
        names[category.id] = category.name
    counts = _count(lists.annotations, "id")
    repeated = {identifier for identifier, count in counts.items() if count > 1}
    return _Table(file, lists.images, by_image, names, repeated)


def _count(records: Iterable[dict[str, Any]], key: str) -> Counter[int | str]:
    """Count the ids under a key; other values do not count."""
    values = (record.get(key) for record in records)
    return Counter(value for value in values if isinstance(value, int | str))


def _resolve_name(file_name: str, files: Mapping[str, File], where: str) -> str:
    """Return an image's path in the folder of images."""
    name = resolve_path(".", file_name)
    if name is not None and name in files:
        return name
    shown = shorten(file_name)
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
    place = f"annotation {shorten(record.get('id'))}"
    where = f"{image}, {place}"
    annotation = parse_record(_Annotation, record, where)
    if annotation.id in table.repeated:
        raise InputError(where, "its id is not unique", AGAIN)
    if annotation.category_id not in table.names:
        problem = f"there is no category with the id {shorten(annotation.category_id)}"
        raise InputError(where, problem, AGAIN)
    parts = _read_parts(annotation.segmentation, where)
    name = table.names[annotation.category_id]
    return ShapedObject(name, parts, place, ignored=bool(annotation.iscrowd))


def _read_parts(segmentation: Any, where: str) -> tuple[Geometry, ...]:
    match segmentation:
        case {"size": [int(height), int(width)], "counts": str(counts)}:
            return (RunLengths(counts, (height, width)),)
        case {"size": [int(height), int(width)], "counts": [*numbers]}:
            if all(type(number) is int for number in numbers):
                return (RunLengths(tuple(numbers), (height, width)),)
        case [_, *_]:
            outlines = parse_record(_Outlines, {"segmentation": segmentation}, where)
            return tuple(map(Polygon, outlines.segmentation))
    if isinstance(segmentation, dict):
        problem = "its runs are without 'size' or 'counts', or they are wrong"
        raise InputError(where, problem, AGAIN)
    problem = "it has no outline in 'segmentation', perhaps only a box"
    raise InputError(where, problem, "Annotate outlines, or remove it")
