"""The layout `rle`: images in a folder, and their objects as run lengths in a CSV table.

Run lengths say where an object lies on the way down one column of the image after the other.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetflow.annotations.csv_tables import read_columns
from unetflow.annotations.pairing import build_pairing
from unetflow.annotations.paths import list_images, refuse_unsupported_formats, without_suffix
from unetflow.annotations.polygons import (
    MAX_CHARACTERS,
    ShapeAnnotation,
    ShapedObject,
    decode_coco_counts,
    fill_runs,
)
from unetflow.annotations.records import Pair, Pairing, SourceImage
from unetflow.annotations.tables import shorten
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File

_RUNS = re.compile(r"\d{1,10}(\s+\d{1,10})*", re.ASCII)
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class RunPairs:
    """Runs as in Kaggle's tables.

    Attributes:
        text: The first pixel of each run, counted from 1, and the run's length in turn.
    """

    text: str

    def pixels(self, shape: tuple[int, int], where: object) -> NDArray[np.bool_]:
        """Draw the runs; all of them must lie in the image."""
        starts, ends = parse_run_pairs(self.text, where)
        pixels = shape[0] * shape[1]
        if ends[-1] > pixels:
            raise InputError(
                where,
                f"it ends at pixel {ends[-1]}, but the image has {pixels}",
                "Check that the table belongs to these images",
            )
        borders = np.stack([starts, ends], axis=1).ravel()
        return fill_runs(np.diff(borders, prepend=0, append=pixels), shape)


@dataclass(frozen=True)
class RunLengths:
    """Runs as in COCO's files: lengths outside and inside the object in turn.

    Attributes:
        counts: The lengths in pixels, or a text into which the COCO tools have packed them.
        size: `(height, width)` of the image.
    """

    counts: tuple[int, ...] | str
    size: tuple[int, int]

    def pixels(self, shape: tuple[int, int], where: object) -> NDArray[np.bool_]:
        """Draw the runs; together they must fill the image."""
        if self.size != tuple(shape):
            raise InputError(
                where,
                f"its runs are of an image of {shorten(self.size[1])} x {shorten(self.size[0])} "
                f"pixels, but the image is {shape[1]} x {shape[0]}",
                "Put the image there that was annotated",
            )
        lengths = self._lengths(shape[0] * shape[1])
        if not lengths.size:
            raise InputError(
                where,
                f"its runs do not fill the image's {shape[0] * shape[1]} pixels",
                "Export the annotations again",
            )
        return fill_runs(lengths, shape)

    def _lengths(self, pixels: int) -> NDArray[np.int64]:
        """Return the lengths; none where they do not fill an image of so many pixels."""
        if isinstance(self.counts, str):
            # The COCO tools draw a wrong text as it comes: beyond the image, or not to its end.
            too_long = len(self.counts) > MAX_CHARACTERS * (pixels + 1)
            lengths = _NONE if too_long else decode_coco_counts(self.counts)
            fill = lengths.size and lengths.min() >= 0 and lengths.max() <= pixels
            return lengths if fill and lengths.sum() == pixels else _NONE
        fill = all(count >= 0 for count in self.counts) and sum(self.counts) == pixels
        return np.array(self.counts if fill else (), np.int64)


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

    Args:
        listing: The files.
        table: The CSV file. Each row is one object; one without runs says that there is none.
        images: Folder of images, searched with its subfolders.
        image_column: The column with the images' names, with or without ending.
        pixels_column: The column with the runs: first pixel, counted from 1, and length in turn.
        class_column: The column with the objects' names; None: they have none.

    Returns:
        A pair for each image of the table; the folder's other images are unlabelled.

    Raises:
        InputError: The table, a column or the folder is not there, or a row names no image.
    """
    file = listing.file(table)
    rows = _read_rows(file, image_column, pixels_column, class_column)
    files = list_images(listing, images)
    known = _names_by_id(files)
    refused = [*listing.refused, *refuse_unsupported_formats(listing, {images})]
    for identifier in dict.fromkeys(row.image for row in rows):
        names = known.get(identifier, [])
        if len(names) != 1:
            refused.append(_refuse_id(f"{file}, image {shorten(identifier)}", names, images))
    listed = _rows_by_image(rows, known)
    pairs = []
    for name, its_rows in listed.items():
        if any(len(known[row.image]) > 1 for row in its_rows):
            continue
        where = f"{file}[{name}]"
        try:
            objects = tuple(_object(row, where) for row in its_rows if row.runs)
        except InputError as error:
            refused.append(error)
        else:
            pairs.append(
                Pair(
                    without_suffix(name), SourceImage(files[name]), ShapeAnnotation(objects, where)
                )
            )
    unlabelled = [(without_suffix(name), files[name]) for name in files.keys() - listed.keys()]
    return build_pairing(pairs, unlabelled, refused)


def parse_run_pairs(text: str, where: object) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the runs of a table start, counted from 0, and the pixels after their ends.

    Raises:
        InputError: They are no runs, or not in order.
    """
    if not _RUNS.fullmatch(text.strip()):
        raise InputError(
            where,
            f"its runs {shorten(text)} are not whole numbers with spaces between",
            "Correct it; leave the field empty where there is no object",
        )
    numbers = np.array([int(part) for part in text.split()], np.int64)
    if numbers.size % 2:
        raise InputError(
            where, f"its runs are {numbers.size} numbers", "Give a start and a length for each run"
        )
    if not numbers.all():
        raise InputError(
            where,
            "a run starts at pixel 0 or has a length of 0",
            "Count the pixels from 1, and remove empty runs",
        )
    starts, ends = numbers[::2] - 1, numbers[::2] - 1 + numbers[1::2]
    wrong = np.flatnonzero(starts[1:] < ends[:-1])
    if wrong.size:
        raise InputError(
            where,
            f"its run from pixel {starts[wrong[0] + 1] + 1} begins before the one before it ends",
            "Sort the runs, and let none overlap",
        )
    return starts, ends


class _Row(NamedTuple):
    number: int
    image: str
    runs: str
    name: str | None


def _read_rows(
    file: File, image_column: str, pixels_column: str, class_column: str | None
) -> list[_Row]:
    columns = [image_column, pixels_column, *([class_column] if class_column else [])]
    images, runs, *names = read_columns(file, columns)
    classes = names[0] if names else [None] * len(images)
    numbers = range(1, len(images) + 1)
    rows = list(map(_Row, numbers, images, runs, classes))
    for row in rows:
        if not row.image:
            raise InputError(
                file, f"row {row.number} names no image", f"Fill its '{image_column}', or remove it"
            )
    return rows


def _names_by_id(files: Iterable[str]) -> dict[str, list[str]]:
    """Return the images that an id may stand for; a whole name comes before one without ending."""
    known: dict[str, list[str]] = defaultdict(list)
    for name in files:
        known[without_suffix(name)].append(name)
    return known | {name: [name] for name in files}


def _rows_by_image(rows: Iterable[_Row], known: dict[str, list[str]]) -> dict[str, list[_Row]]:
    """Return the rows of each image that they may stand for."""
    listed: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        for name in known.get(row.image, []):
            listed[name].append(row)
    return listed


def _refuse_id(where: str, names: list[str], images: str) -> InputError:
    if names:
        return InputError(
            where,
            f"it stands for several images: {', '.join(names)}",
            "Write their endings into the table, or remove all but one of them",
        )
    return InputError(
        where,
        f"there is no such image in the folder '{images}'",
        "Add the image, remove its rows, or correct `images`",
    )


def _object(row: _Row, where: str) -> ShapedObject:
    here = f"row {row.number}"
    parse_run_pairs(row.runs, f"{where}, {here}")
    if row.name == "":
        raise InputError(f"{where}, {here}", "its object has no class", "Fill the class column")
    return ShapedObject(row.name, (RunPairs(row.runs),), here)
