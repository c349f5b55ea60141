"""Layouts `rle`, `coco` and `labelme` that the tables in a file listing suggest."""

import csv
import inspect
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from unetflow.annotations.autodetect.content_kind import has_mask_word
from unetflow.annotations.layouts.find_pairs import LayoutOptions
from unetflow.annotations.layouts.rle_table import find_rle_table
from unetflow.annotations.records import without_suffix
from unetflow.annotations.tables import read_columns, read_json
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.formats.readers import is_image

_WORDS = re.compile(r"[^\W\d_]+|\d+")
_MAX_JSON_BYTES = 2**28
_MAX_OPENED = 8  # tables in each folder
_COLUMNS = {
    "image_column": ("imageid", "image_id", "image", "img", "id", "filename", "file_name"),
    "pixels_column": ("encodedpixels", "encoded_pixels", "rle", "rle_mask", "encoding"),
    "class_column": ("classid", "class_id", "class", "category", "label", "cell_type"),
}


def find_table_candidates(listing: FileListing) -> Iterator[LayoutOptions]:
    """Yield layout and options for each table that seems to hold annotations."""
    labelme_folders = []
    for folder, tables in _list_tables(listing).items():
        for name in tables:
            if name.lower().endswith(".csv"):
                yield from _read_rle_table(listing, name)
                continue
            try:
                content = read_json(listing.files[name], _MAX_JSON_BYTES)
            except InputError:
                continue
            if {"images", "annotations", "categories"} <= content.keys():
                images = content["images"] if isinstance(content["images"], list) else []
                mentioned = [str(i.get("file_name", "")) for i in images if isinstance(i, dict)]
                for images_folder in _find_image_folders(listing, mentioned, name):
                    yield "coco", {"annotations": name, "images": images_folder}
            elif {"shapes", "imagePath"} <= content.keys():
                labelme_folders.append(folder)
                break
    if labelme_folders:
        yield from _read_labelme(listing, labelme_folders)


def _list_tables(listing: FileListing) -> dict[str, list[str]]:
    """Return the first JSON and CSV files of each folder."""
    tables: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in listing.files:
        folder, file_name = posixpath.split(name)
        extension = posixpath.splitext(file_name)[1].lower()
        # A submission to a contest does not annotate images.
        if extension in (".json", ".csv") and "submission" not in file_name.lower():
            tables[folder or ".", extension].append(name)
    by_folder: dict[str, list[str]] = defaultdict(list)
    for (folder, _), names in tables.items():
        by_folder[folder] += names[:_MAX_OPENED]
    return by_folder


def _read_rle_table(listing: FileListing, name: str) -> Iterator[LayoutOptions]:
    """Yield the layout `rle` for a table with run lengths."""
    with listing.files[name].open("rb") as opened:
        first_line = opened.readline(10_000).decode("utf-8-sig", "replace")
    header = next(csv.reader([first_line]), [])
    columns = {
        option: column
        for option, known in _COLUMNS.items()
        if (column := next((name for name in header if name.strip().lower() in known), None))
    }
    if not {"image_column", "pixels_column"} <= columns.keys():
        return
    try:
        (mentioned,) = read_columns(listing.files[name], [columns["image_column"]])
    except InputError:
        return
    defaults = inspect.signature(find_rle_table).parameters
    options = {key: value for key, value in columns.items() if value != defaults[key].default}
    for folder in _find_image_folders(listing, mentioned, name):
        yield "rle", {"table": name, **options, "images": folder}


def _read_labelme(listing: FileListing, folders: list[str]) -> Iterator[LayoutOptions]:
    """Yield the layout `labelme` for each folder of such files and for their common folder."""
    common = "." if "." in folders else posixpath.commonpath(folders) or "."
    for folder in dict.fromkeys([common, *folders]):
        yield "labelme", {"annotations": folder}
        tables = [name for name in listing.within(folder) if name.lower().endswith(".json")]
        for images in _find_image_folders(listing, map(without_suffix, tables), folder):
            yield "labelme", {"annotations": folder, "images": images}


def _find_image_folders(listing: FileListing, mentioned: Iterable[str], table: str) -> list[str]:
    """Return the folder within which most of the images that a table mentions are found.

    Their paths have extensions or none. There are several folders where nothing distinguishes
    them, and none where no image is found.
    """
    wanted = set(mentioned)
    counts: Counter[str] = Counter()
    for name in filter(is_image, listing.files):
        parts = name.split("/")
        for depth in range(len(parts)):
            path = "/".join(parts[depth:])
            if path in wanted or without_suffix(path) in wanted:
                counts["/".join(parts[:depth]) or "."] += 1
    words, rates = {*_WORDS.findall(table.lower())}, {}
    for folder, count in counts.items():
        n_shared = len(words.intersection(_WORDS.findall(folder.lower())))
        rates[folder] = (count, not has_mask_word(folder), n_shared)
    best = max(rates.values(), default=None)
    return sorted(folder for folder, rate in rates.items() if rate == best)
