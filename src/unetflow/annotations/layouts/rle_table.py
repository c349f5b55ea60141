"""The layout `rle`: images in a folder, and their objects as run lengths in a CSV table."""

from collections import defaultdict

from unetflow.annotations.geometries import RunPairs, parse_run_pairs
from unetflow.annotations.raster import ShapeAnnotation, ShapedObject, SourceImage
from unetflow.annotations.records import Pair, Pairing, build_pairing, list_images, without_suffix
from unetflow.annotations.tables import read_columns, shorten
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File

Row = tuple[int, str, str | None]
"""The number of a row, its run lengths and its class."""


def find_rle_table(
    listing: FileListing,
    *,
    table: str,
    images: str = "images",
    image_column: str = "ImageId",
    pixels_column: str = "EncodedPixels",
    class_column: str | None = None,
) -> Pairing:
    """Find images whose objects are rows of a CSV table, as in many contests on Kaggle.

    Options:
        table: The CSV file. Each row is one object; one without runs is no object.
        images: Folder of images, searched with its subfolders.
        image_column: The column with the images' names, with or without extension.
        pixels_column: The column with the runs: first pixel, counted from 1, and length in turn,
            down one column of pixels after the other.
        class_column: The column with the objects' names; None: they have none.
    """
    file = listing.file(table)
    rows = _read_rows(file, image_column, pixels_column, class_column)
    files, refused = list_images(listing, images)
    # An id may name several images; a whole name precedes one without extension.
    names_by_id: dict[str, list[str]] = defaultdict(list)
    for name in files:
        names_by_id[without_suffix(name)].append(name)
    names_by_id |= {name: [name] for name in files}
    rows_by_name: dict[str, list[Row]] = defaultdict(list)
    ambiguous: set[str] = set()
    for identifier, found in rows.items():
        names = names_by_id.get(identifier, [])
        for name in names:
            rows_by_name[name] += found
        if len(names) != 1:
            problem = f"there is no such image in the folder '{images}'"
            fix = "Add the image, remove its rows, or correct `images`"
            if names:
                problem = f"several images have this name: {', '.join(names)}"
                fix = "Write their extensions into the table, or remove all but one of them"
            refused.append(InputError(f"{file}, image {shorten(identifier)}", problem, fix))
            ambiguous.update(names)
    pairs = []
    for name in rows_by_name.keys() - ambiguous:
        where = f"{file}[{name}]"
        try:
            objects = [_read_row(row, where) for row in sorted(rows_by_name[name]) if row[1]]
        except InputError as error:
            refused.append(error)
            continue
        annotation = ShapeAnnotation(tuple(objects), where)
        pairs.append(Pair(without_suffix(name), SourceImage(files[name]), annotation))
    unlabelled = [(without_suffix(n), files[n]) for n in files.keys() - rows_by_name.keys()]
    return build_pairing(pairs, unlabelled, refused)


def _read_rows(
    file: File, image_column: str, pixels_column: str, class_column: str | None
) -> dict[str, list[Row]]:
    """Return the table's rows by the image that they name."""
    columns = [image_column, pixels_column, *([class_column] if class_column else [])]
    images, runs, *names = read_columns(file, columns)
    classes = names[0] if names else [None] * len(images)
    rows: dict[str, list[Row]] = defaultdict(list)
    for number, image in enumerate(images, 1):
        rows[image].append((number, runs[number - 1], classes[number - 1]))
    if "" in rows:
        problem = f"row {rows[''][0][0]} names no image"
        raise InputError(file, problem, f"Fill its '{image_column}', or remove it")
    return rows


def _read_row(row: Row, where: str) -> ShapedObject:
    number, runs, name = row
    place = f"row {number}"
    parse_run_pairs(runs, f"{where}, {place}")
    if name == "":
        raise InputError(f"{where}, {place}", "its object has no class", "Fill the class column")
    return ShapedObject(name, (RunPairs(runs),), place)
