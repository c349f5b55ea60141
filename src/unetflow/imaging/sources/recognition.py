"""A look at a folder that nobody has described: which layouts it could have."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from unetflow.imaging.errors import InputError
from unetflow.imaging.files import File, size
from unetflow.imaging.readers import is_image
from unetflow.imaging.sources import find_pairs
from unetflow.imaging.sources.name_matching import folder_options
from unetflow.imaging.sources.split_tables import SYNONYMS
from unetflow.imaging.splitting import SPLITS
from unetflow.imaging.trees import FileTree, list_tree

_MOST_JSON_BYTES = 2**28
_MOST_LOOKED_AT = 20


@dataclass(frozen=True)
class Reading:
    """One way to read a folder.

    Attributes:
        layout: The layout's name.
        options: Its options.
        splits: Options that differ by split, or None; see `sources.find_pairs`.
        pairs: How many annotated images that makes.
    """

    layout: str
    options: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, dict[str, Any]] | None = None
    pairs: int = 0

    def explain(self, root: Path) -> str:
        """Return what was recognised, and the lines of the catalog that would pin it."""
        entry = {
            "type": "unetflow.datasets.SourceDataset",
            "path": str(root),
            "layout": self.layout,
            **self.options,
        }
        if self.splits:
            entry["splits"] = self.splits
        lines = yaml.safe_dump({"raw_pairs": entry}, sort_keys=False).splitlines()
        listing = "\n".join(f"    {line}" for line in lines)
        return f"layout '{self.layout}' with {self.pairs} annotated images:\n{listing}"


def recognise(root: Path) -> Reading:
    """Return the one way in which a folder or archive can be read.

    Args:
        root: The folder or archive.

    Raises:
        InputError: There is no way, or more than one; the message shows them.
    """
    readings = find_readings(root)
    if len(readings) == 1:
        return readings[0]
    if not readings:
        raise InputError(
            root,
            f"no layout was recognised in it; {_summarise(list_tree(root))}",
            "Write `layout` and its options into the catalog; the README has a table of them",
        )
    listing = "\n".join(f"  {reading.explain(root)}" for reading in readings)
    raise InputError(
        root,
        f"it can be read in {len(readings)} ways:\n{listing}\n",
        "Copy the one that is meant into conf/local/catalog.yml",
    )


def find_readings(root: Path) -> list[Reading]:
    """Return all ways in which a folder or archive can be read, those with more images first."""
    tree = list_tree(root)
    candidates = [*_special_layouts(tree)]
    if not any(reading.layout in ("objects", "cell_tracking") for reading in candidates):
        candidates += _join_splits([Reading(*found) for found in folder_options(tree)])
    readings = []
    for candidate in candidates:
        try:
            pairing = find_pairs(root, candidate.layout, candidate.options, candidate.splits)
        except InputError:
            continue
        if pairing.pairs:
            counted = len(pairing.pairs)
            readings.append(Reading(candidate.layout, candidate.options, candidate.splits, counted))
    return sorted(readings, key=lambda reading: -reading.pairs)


def _special_layouts(tree: FileTree) -> Iterator[Reading]:
    """Yield the layouts that names or tables give away."""
    if any("_GT/SEG/man_seg" in name for name in tree.files):
        yield Reading("cell_tracking")
    if _has_object_folders(tree):
        yield Reading("objects")
    labelled: set[str] = set()
    for name, file in list(tree.files.items()):
        folder = name.rpartition("/")[0] or "."
        if name.endswith(".csv") and "EncodedPixels" in _first_line(file):
            for images in _image_folders(tree):
                yield Reading("rle", {"table": name, "images": images})
        elif name.endswith(".json") and len(labelled) < _MOST_LOOKED_AT:
            keys = _json_keys(file)
            if {"images", "annotations", "categories"} <= keys:
                for images in _image_folders(tree):
                    yield Reading("coco", {"annotations": name, "images": images})
            elif {"shapes", "imagePath"} <= keys and folder not in labelled:
                labelled.add(folder)
                yield Reading("labelme", {"annotations": folder})


def _has_object_folders(tree: FileTree) -> bool:
    """Tell whether most folders `<id>/images` hold one image and have a `<id>/masks` beside."""
    images: Counter[str] = Counter()
    masks: Counter[str] = Counter()
    for name in tree.files:
        folder, _, kind = name.rpartition("/")[0].rpartition("/")
        if folder and is_image(name) and kind in ("images", "masks"):
            (images if kind == "images" else masks)[folder] += 1
    single = [folder for folder, count in images.items() if count == 1 and masks[folder]]
    return len(single) > 1 and 2 * len(single) > len(images)


def _join_splits(readings: list[Reading]) -> list[Reading]:
    """Make one reading of those that are the parts of a split, such as `train` and `val`."""
    by_split: dict[str, list[Reading]] = {}
    for reading in readings:
        name = _split_named_by(str(reading.options["images"]))
        if name is not None and reading.layout == "folders":
            by_split.setdefault(name, []).append(reading)
    parts = [readings for readings in by_split.values() if len(readings) == 1]
    if len(by_split) < 2 or len(parts) < len(by_split) or "train" not in by_split:
        return readings
    splits = {name: joined[0].options for name, joined in by_split.items()}
    others = [r for r in readings if not any(r in joined for joined in by_split.values())]
    return [Reading("folders", {}, splits), *others]


def _split_named_by(folder: str) -> str | None:
    for part in folder.lower().split("/"):
        split = SYNONYMS.get(part, part)
        if split in SPLITS:
            return split
    return None


def _image_folders(tree: FileTree) -> list[str]:
    """Return the folders that hold images, or the one that holds all of them."""
    folders = {name.rpartition("/")[0] or "." for name in tree.files if is_image(name)}
    return sorted(folders) if len(folders) == 1 else ["."]


def _first_line(file: File) -> str:
    with file.open("rb") as opened:
        return opened.readline(10_000).decode("utf-8", "replace")


def _json_keys(file: File) -> set[str]:
    if size(file) > _MOST_JSON_BYTES:
        return set()
    try:
        with file.open("rb") as opened:
            content = json.load(opened)
    except (ValueError, RecursionError):
        return set()
    return set(content) if isinstance(content, dict) else set()


def _summarise(tree: FileTree) -> str:
    kinds = Counter(
        (name.rpartition("/")[0] or ".", "." + name.rpartition(".")[2]) for name in tree.files
    )
    rows = [f"{count} {ending} in {folder}" for (folder, ending), count in kinds.most_common(6)]
    return f"it holds {', '.join(rows) or 'no file'}"
