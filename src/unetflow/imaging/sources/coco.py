"""The layout `coco`: images in a folder, and their objects in one JSON file as COCO has it."""

import json
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any, TypeAlias, TypeVar

from unetflow.imaging.errors import InputError
from unetflow.imaging.files import File
from unetflow.imaging.readers import is_image
from unetflow.imaging.sources.folders import refuse_foreign
from unetflow.imaging.sources.records import Pair, Pairing, Picture
from unetflow.imaging.sources.rle_table import RunLengths
from unetflow.imaging.sources.shapes import (
    Geometry,
    Polygon,
    ShapedObject,
    Shapes,
    assemble,
    brief,
    images_below,
    read_bytes,
    read_coordinates,
    stem_of,
)
from unetflow.imaging.trees import FileTree

Record: TypeAlias = Mapping[str, Any]
Identifier: TypeAlias = int | str
Value = TypeVar("Value")

_AGAIN = "Export the annotations again"
_KINDS: dict[Any, str] = {dict: "an object with keys", list: "a list", str: "a text"}


def find_coco(
    tree: FileTree, *, annotations: str, images: str = ".", empty: str = "negative"
) -> Pairing:
    """Find images whose objects are listed in a JSON file as that of the COCO data set.

    Args:
        tree: The files.
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
        raise InputError("empty", f"{brief(empty)} is no choice", "Use 'negative' or 'unlabelled'")
    table = _read_table(tree.file(annotations))
    files = images_below(tree, images)
    refused = [*tree.refused, *refuse_foreign(tree, {images}), *_refuse_strangers(table)]
    ids = _count(table.images, "id")
    names = Counter(locate(".", str(name)) for name in _count(table.images, "file_name").elements())
    pairs, unlabelled = [], []
    for number, record in enumerate(table.images):
        try:
            image_id = read_id(record, "id", f"{table.file}, images[{number}]")
            where = f"{table.file}, image {brief(image_id)}"
            name = _image_name(record, files, where)
            if ids[image_id] > 1 or names[name] > 1:
                raise InputError(where, "its id or its file_name stands twice", _AGAIN)
            shapes = _shapes(record, image_id, table, f"{table.file}[{name}]")
        except InputError as error:
            refused.append(error)
            continue
        if shapes.objects or empty == "negative":
            pairs.append(Pair(stem_of(name), Picture(files[name]), shapes))
        else:
            unlabelled.append((stem_of(name), files[name]))
    unlabelled += [(stem_of(name), files[name]) for name in files if name not in names]
    return assemble(pairs, unlabelled, refused)


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
            raise InputError(where, f"its id {brief(identifier)} stands twice", _AGAIN)
        names[identifier] = value_of(record, "name", str, where)
    counts = _count(annotations, "id")
    return _Table(file, images, by_image, names, {i for i, count in counts.items() if count > 1})


def _records(content: Record, key: str, file: File) -> list[Record]:
    records = value_of(content, key, list, file)
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise InputError(f"{file}, {key}[{number}]", "it is no object with keys", _AGAIN)
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
            f"{table.file}, image {brief(image_id)}",
            f"{len(records)} annotations are of it, but it is not among the `images`",
            _AGAIN,
        )
        for image_id, records in table.annotations.items()
        if image_id not in listed
    ]


def _image_name(record: Record, files: Mapping[str, File], where: str) -> str:
    """Return an image's path in the folder of images."""
    file_name = value_of(record, "file_name", str, where)
    name = locate(".", file_name)
    if name is None:
        raise InputError(
            where,
            f"its file_name {brief(file_name)} leads out of the folder of images",
            "Write it as a path that starts from there",
        )
    if not is_image(name):
        raise InputError(
            where, f"no reader knows its file {brief(file_name)}", "Convert it to PNG or TIFF"
        )
    if name not in files:
        raise InputError(
            where,
            f"its file {brief(file_name)} is not in the folder of images",
            "Add the image, or correct `images`",
        )
    return name


def _shapes(record: Record, image_id: Identifier, table: _Table, where: str) -> Shapes:
    size = read_size(record, "height", "width", where)
    found = table.annotations.get(image_id, [])
    return Shapes(tuple(_object(annotation, table, where) for annotation in found), where, size)


def _object(record: Record, table: _Table, image: str) -> ShapedObject:
    identifier = read_id(record, "id", f"{image}, one of its annotations")
    where = f"annotation {brief(identifier)}"
    whole = f"{image}, {where}"
    if identifier in table.twice:
        raise InputError(whole, "its id stands twice", _AGAIN)
    category = read_id(record, "category_id", whole)
    if category not in table.names:
        raise InputError(whole, f"there is no category with the id {brief(category)}", _AGAIN)
    crowd = record.get("iscrowd")
    if crowd not in (None, 0, 1):
        raise InputError(whole, f"its iscrowd is {brief(crowd)}, not 0 or 1", _AGAIN)
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
    return Polygon(read_coordinates(numbers, where))


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
                f"its runs are not whole numbers that fill {brief(height)} x {brief(width)} pixels",
                _AGAIN,
            )
    raise InputError(where, "its runs are without 'size' or 'counts', or they are wrong", _AGAIN)


def read_json(file: File) -> dict[str, Any]:
    """Read a JSON file that holds an object with keys.

    Raises:
        InputError: It cannot be read, or is something else.
    """
    data = read_bytes(file)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(file, f"it is no JSON file ({error})", "Export it again") from error
    if not isinstance(content, dict):
        raise InputError(file, "its JSON holds no object with keys", "Export it again")
    return content


def value_of(record: Record, key: str, kind: type[Value], where: object) -> Value:
    """Return the value of a key in a JSON object.

    Raises:
        InputError: There is none, or it is not of the kind: dict, list or str.
    """
    if key not in record:
        raise InputError(where, f"it has no key '{key}'", _AGAIN)
    value = record[key]
    if not isinstance(value, kind):
        raise InputError(where, f"its '{key}' is not {_KINDS[kind]}", _AGAIN)
    return value


def read_id(record: Record, key: str, where: object) -> Identifier:
    """Return a whole number or a text that stands for something.

    Raises:
        InputError: There is none.
    """
    value = record.get(key)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise InputError(where, f"its '{key}' is missing or no id: {brief(value)}", _AGAIN)


def read_size(record: Record, height: str, width: str, where: object) -> tuple[int, int] | None:
    """Return the size of an image under two keys of a JSON object; None where both are missing.

    Raises:
        InputError: They are not whole numbers above 0.
    """
    tall, wide = record.get(height), record.get(width)
    if tall is None and wide is None:
        return None
    if isinstance(tall, int) and isinstance(wide, int) and min(tall, wide) > 0:
        return tall, wide
    raise InputError(
        where, f"its '{height}' {brief(tall)} and '{width}' {brief(wide)} are no size", _AGAIN
    )


def locate(folder: str, name: str) -> str | None:
    """Return where a path in a table leads, seen from a folder; None where it leaves the root.

    Slashes of both kinds are understood, since tables are written on Windows too.
    """
    path = PureWindowsPath(name)
    if path.anchor:
        return None
    joined = posixpath.normpath(posixpath.join(folder, path.as_posix()))
    return None if joined.split("/")[0] == ".." else joined
