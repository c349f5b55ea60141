"""The layout `coco`: images in a folder, and their objects in one JSON file as COCO has it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from unetflow.annotations.json_tables import (
    AGAIN,
    Identifier,
    Record,
    read_id,
    read_json,
    read_size,
    value_of,
)
from unetflow.annotations.layouts.rle_table import RunLengths
from unetflow.annotations.pairing import build_pairing
from unetflow.annotations.paths import (
    list_images,
    refuse_unsupported_formats,
    resolve_path,
    without_suffix,
)
from unetflow.annotations.polygons import (
    Geometry,
    Polygon,
    ShapeAnnotation,
    ShapedObject,
    parse_coordinates,
)
from unetflow.annotations.records import Pair, Pairing, SourceImage
from unetflow.annotations.tables import shorten
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.registry import is_image


def find_coco(
    listing: FileListing, *, annotations: str, images: str = ".", empty: str = "negative"
) -> Pairing:
    """Find images whose objects are listed in a JSON file as that of the COCO data set.

    Args:
        listing: The files.
        annotations: The JSON file.
        images: The folder that its `file_name`s start from, searched with its subfolders.
        empty: What an image is that the file lists without any annotation: "negative", an image
            without objects, or "unlabelled".

    Returns:
        A pair for each image that the file lists; the folder's other images are unlabelled.

    Raises:
        InputError: The file or the folder is not there, or the file as a whole is wrong.
    """
    if empty not in ("negative", "unlabelled"):
        raise InputError(
            "empty", f"{shorten(empty)} is no choice", "Use 'negative' or 'unlabelled'"
        )
    table = _read_table(listing.file(annotations))
    files = list_images(listing, images)
    refused = [
        *listing.refused,
        *refuse_unsupported_formats(listing, {images}),
        *_refuse_strangers(table),
    ]
    ids = _count(table.images, "id")
    names = Counter(
        resolve_path(".", str(name)) for name in _count(table.images, "file_name").elements()
    )
    pairs, unlabelled = [], []
    for number, record in enumerate(table.images):
        try:
            image_id = read_id(record, "id", f"{table.file}, images[{number}]")
            where = f"{table.file}, image {shorten(image_id)}"
            name = _image_name(record, files, where)
            if ids[image_id] > 1 or names[name] > 1:
                raise InputError(where, "its id or its file_name stands twice", AGAIN)
            shapes = _shapes(record, image_id, table, f"{table.file}[{name}]")
        except InputError as error:
            refused.append(error)
            continue
        if shapes.objects or empty == "negative":
            pairs.append(Pair(without_suffix(name), SourceImage(files[name]), shapes))
        else:
            unlabelled.append((without_suffix(name), files[name]))
    unlabelled += [(without_suffix(name), files[name]) for name in files if name not in names]
    return build_pairing(pairs, unlabelled, refused)


@dataclass(frozen=True)
class _Table:
    """What a file says.

    Attributes:
        file: The file.
        images: Its images.
        annotations: Its annotations by the id of their image.
        names: The names of its categories by their ids.
        twice: The ids that several annotations have.
    """

    file: File
    images: list[Record]
    annotations: dict[Identifier, list[Record]]
    names: dict[Identifier, str]
    twice: set[Identifier]


def _read_table(file: File) -> _Table:
    content = read_json(file)
    images, annotations, categories = (
        _records(content, key, file) for key in ("images", "annotations", "categories")
    )
    by_image: dict[Identifier, list[Record]] = defaultdict(list)
    for number, record in enumerate(annotations):
        # Nobody knows which image is incomplete if this one is left out: the whole file is wrong.
        by_image[read_id(record, "image_id", f"{file}, annotations[{number}]")].append(record)
    names: dict[Identifier, str] = {}
    for number, record in enumerate(categories):
        where = f"{file}, categories[{number}]"
        identifier = read_id(record, "id", where)
        if identifier in names:
            raise InputError(where, f"its id {shorten(identifier)} stands twice", AGAIN)
        names[identifier] = value_of(record, "name", str, where)
    counts = _count(annotations, "id")
    return _Table(file, images, by_image, names, {i for i, count in counts.items() if count > 1})


def _records(content: Record, key: str, file: File) -> list[Record]:
    records = value_of(content, key, list, file)
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise InputError(f"{file}, {key}[{number}]", "it is no object with keys", AGAIN)
    return records


def _count(records: Iterable[Record], key: str) -> Counter[Identifier]:
    """Count the ids under a key; what is no id does not count."""
    values = (record.get(key) for record in records)
    return Counter(value for value in values if isinstance(value, int | str))


def _refuse_strangers(table: _Table) -> list[InputError]:
    """Return an error for each image that has annotations, but is not listed."""
    listed = _count(table.images, "id")
    return [
        InputError(
            f"{table.file}, image {shorten(image_id)}",
            f"{len(records)} annotations are of it, but it is not among the `images`",
            AGAIN,
        )
        for image_id, records in table.annotations.items()
        if image_id not in listed
    ]


def _image_name(record: Record, files: Mapping[str, File], where: str) -> str:
    """Return an image's path in the folder of images."""
    file_name = value_of(record, "file_name", str, where)
    name = resolve_path(".", file_name)
    if name is None:
        raise InputError(
            where,
            f"its file_name {shorten(file_name)} leads out of the folder of images",
            "Write it as a path that starts from there",
        )
    if not is_image(name):
        raise InputError(
            where, f"no reader knows its file {shorten(file_name)}", "Convert it to PNG or TIFF"
        )
    if name not in files:
        raise InputError(
            where,
            f"its file {shorten(file_name)} is not in the folder of images",
            "Add the image, or correct `images`",
        )
    return name


def _shapes(record: Record, image_id: Identifier, table: _Table, where: str) -> ShapeAnnotation:
    size = read_size(record, "height", "width", where)
    found = table.annotations.get(image_id, [])
    return ShapeAnnotation(
        tuple(_object(annotation, table, where) for annotation in found), where, size
    )


def _object(record: Record, table: _Table, image: str) -> ShapedObject:
    identifier = read_id(record, "id", f"{image}, one of its annotations")
    where = f"annotation {shorten(identifier)}"
    whole = f"{image}, {where}"
    if identifier in table.twice:
        raise InputError(whole, "its id stands twice", AGAIN)
    category = read_id(record, "category_id", whole)
    if category not in table.names:
        raise InputError(whole, f"there is no category with the id {shorten(category)}", AGAIN)
    crowd = record.get("iscrowd")
    if crowd not in (None, 0, 1):
        raise InputError(whole, f"its iscrowd is {shorten(crowd)}, not 0 or 1", AGAIN)
    parts = _parts(record.get("segmentation"), whole)
    return ShapedObject(table.names[category], parts, where, ignored=bool(crowd))


def _parts(segmentation: object, where: str) -> tuple[Geometry, ...]:
    if isinstance(segmentation, dict):
        return (_runs(segmentation, where),)
    if isinstance(segmentation, list) and segmentation:
        return tuple(_polygon(numbers, where) for numbers in segmentation)
    raise InputError(
        where,
        "it has no outline in 'segmentation', perhaps only a box",
        "Annotate outlines, or remove it",
    )


def _polygon(numbers: object, where: str) -> Polygon:
    if not isinstance(numbers, list) or len(numbers) < 6 or len(numbers) % 2:
        raise InputError(
            where,
            "one of its outlines is not a list of x and y of at least 3 corners",
            "Correct or remove it",
        )
    return Polygon(parse_coordinates(numbers, where))


def _runs(segmentation: Record, where: str) -> RunLengths:
    match segmentation:
        case {"size": [int(height), int(width)], "counts": str(text)}:
            return RunLengths(text, (height, width))
        case {"size": [int(height), int(width)], "counts": [*counts]}:
            whole = all(type(count) is int and count >= 0 for count in counts)
            if whole and sum(counts) == height * width:
                return RunLengths(tuple(counts), (height, width))
            raise InputError(
                where,
                f"its runs are not whole numbers that fill {shorten(height)} x {shorten(width)} px",
                AGAIN,
            )
    raise InputError(where, "its runs are without 'size' or 'counts', or they are wrong", AGAIN)
