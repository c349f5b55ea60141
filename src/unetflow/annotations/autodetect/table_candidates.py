"""Readings of a file listing that its tables give away: files in JSON and CSV."""

import csv
import json
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from unetflow.annotations.autodetect.content_kind import has_mask_word
from unetflow.annotations.paths import without_suffix
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File, file_size
from unetflow.io.formats.registry import is_image

_MOST_JSON_BYTES = 2**28
_LOOKED_AT = 8
"""Tables that are opened in each folder."""
_RUN_COLUMNS = ("encodedpixels", "encoded_pixels", "rle", "rle_mask", "encoding")
_IMAGE_COLUMNS = ("imageid", "image_id", "image", "img", "id", "filename", "file_name")
_CLASS_COLUMNS = ("classid", "class_id", "class", "category", "label", "cell_type")

Found = tuple[str, dict[str, Any]]


def find_table_candidates(listing: FileListing) -> Iterator[Found]:
    """Yield layout and options for each table that seems to hold annotations.

    Args:
        listing: The files.
    """
    labelled = []
    for folder, tables in _list_tables(listing).items():
        for name in tables:
            if name.lower().endswith(".csv"):
                yield from _read_runs(listing, name)
                continue
            content = _load(listing.files[name])
            if {"images", "annotations", "categories"} <= content.keys():
                yield from _read_coco(listing, name, content)
            elif {"shapes", "imagePath"} <= content.keys():
                labelled.append(folder)
                break
    yield from _read_labelme(listing, labelled)


def _list_tables(listing: FileListing) -> dict[str, list[str]]:
    """Return the first JSON and CSV files of each folder."""
    tables: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in listing.files:
        folder, _, last = name.rpartition("/")
        ending = posixpath.splitext(last)[1].lower()
        # What is handed in to a contest says nothing of the images that it is about.
        if ending in (".json", ".csv") and "submission" not in last.lower():
            tables[folder or ".", ending].append(name)
    joined: dict[str, list[str]] = defaultdict(list)
    for (folder, _), names in tables.items():
        joined[folder] += names[:_LOOKED_AT]
    return joined


def _read_runs(listing: FileListing, name: str) -> Iterator[Found]:
    """Yield the layout `rle` for a table with run lengths."""
    with listing.files[name].open("rb") as opened:
        first_line = opened.readline(10_000).decode("utf-8-sig", "replace")
    header = next(csv.reader([first_line]), [])
    runs, images, classes = (
        next((column for column in header if column.strip().lower() in known), None)
        for known in (_RUN_COLUMNS, _IMAGE_COLUMNS, _CLASS_COLUMNS)
    )
    if runs is None or images is None:
        return
    try:
        with listing.files[name].open("rb") as opened:
            column = pd.read_csv(opened, usecols=[images], dtype=str, keep_default_na=False)
    except ValueError:
        return
    options = {"table": name}
    options |= {"image_column": images} if images != "ImageId" else {}
    options |= {"pixels_column": runs} if runs != "EncodedPixels" else {}
    options |= {"class_column": classes} if classes else {}
    for folder in _folders_with(listing, column[images], name):
        yield "rle", options | {"images": folder}


def _read_coco(listing: FileListing, name: str, content: dict[str, Any]) -> Iterator[Found]:
    """Yield the layout `coco` for a table like that of the COCO data set."""
    images = content["images"] if isinstance(content["images"], list) else []
    mentioned = [str(i.get("file_name", "")) for i in images if isinstance(i, dict)]
    for folder in _folders_with(listing, mentioned, name):
        yield "coco", {"annotations": name, "images": folder}


def _read_labelme(listing: FileListing, folders: list[str]) -> Iterator[Found]:
    """Yield the layout `labelme` for folders of such files, and for what holds all of them."""
    together = [] if len(folders) < 2 or "." in folders else [posixpath.commonpath(folders)]
    for folder in [*(["."] if "." in folders else [f or "." for f in together]), *folders]:
        yield "labelme", {"annotations": folder}
        stems = [
            without_suffix(name)
            for name in listing.within(folder)
            if name.lower().endswith(".json")
        ]
        for images in _folders_with(listing, stems, folder):
            yield "labelme", {"annotations": folder, "images": images}


def _folders_with(listing: FileListing, mentioned: Iterable[str], table: str) -> list[str]:
    """Return the folder from which most of the mentioned images are found.

    Args:
        listing: The files.
        mentioned: Paths of images, with or without their endings.
        table: Where they are mentioned.

    Returns:
        The folder; several where nothing tells which one is meant, and none where none is found.
    """
    wanted = set(mentioned)
    counts: Counter[str] = Counter()
    for name in filter(is_image, listing.files):
        parts = name.split("/")
        for depth in range(len(parts)):
            below = "/".join(parts[depth:])
            if below in wanted or without_suffix(below) in wanted:
                counts["/".join(parts[:depth]) or "."] += 1
    words = set(_words(table))

    def suit(folder: str) -> tuple[int, bool, int]:
        return counts[folder], not has_mask_word(folder), len(words.intersection(_words(folder)))

    best = max(map(suit, counts), default=None)
    return sorted(folder for folder in counts if suit(folder) == best)


def _words(path: str) -> list[str]:
    return re.findall(r"[^\W\d_]+|\d+", path.lower())


def _load(file: File) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one where there is none, or it is very large."""
    try:
        if file_size(file) > _MOST_JSON_BYTES:
            return {}
        with file.open("rb") as opened:
            content = json.load(opened)
    except (InputError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
