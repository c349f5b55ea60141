"""A look at a folder that nobody has described: which layouts it could have."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from unetflow.annotations.autodetect.content_kind import has_mask_word
from unetflow.annotations.autodetect.fields_of_view import use_fields_of_view_as_regions
from unetflow.annotations.autodetect.name_candidates import find_name_candidates
from unetflow.annotations.autodetect.table_candidates import find_table_candidates
from unetflow.annotations.layouts.registry import find_pairs_in_listing
from unetflow.annotations.records import Pairing
from unetflow.annotations.split_table import find_split_words, parse_split
from unetflow.core.errors import InputError
from unetflow.core.types import SPLITS
from unetflow.io.file_listing import FileListing, list_files
from unetflow.io.formats.registry import is_image

_MAX_SHOWN = 6
_MAX_UNUSED_MASKS = 0.1  # masks without image for each pair

Made = frozenset[tuple[str, str]]
"""The images that a reading pairs, and where their annotations are."""


@dataclass(frozen=True)
class LayoutCandidate:
    """One way to read a folder.

    Attributes:
        layout: The layout's name.
        options: Its options.
        splits: Options that differ by split, or None; see `sources.find_pairs`.
        pairs: How many annotated images that makes.
        others: How many image files are no part of it.
        masks_left: How many of these are called masks, unlike its images.
    """

    layout: str
    options: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, dict[str, Any]] | None = None
    pairs: int = 0
    others: int = 0
    masks_left: int = 0

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
        lines = yaml.safe_dump({"raw_pairs": entry}, sort_keys=False, width=1000).splitlines()
        shown = "\n".join(f"    {line}" for line in lines)
        rest = f", without {self.others} other image files" if self.others else ""
        keep = "; `ingestion.split.strategy: given` keeps its split" if self.splits else ""
        return (
            f"'{self.layout}' with {self.pairs} annotated images{rest}"
            f"{self._explain_regions()}{keep}:\n{shown}"
        )

    def _explain_regions(self) -> str:
        parts = [self.options, *(self.splits or {}).values()]
        named = dict.fromkeys(f"'{part['regions']}'" for part in parts if "regions" in part)
        if not named:
            return ""
        seem = "seems to be the field" if len(named) == 1 else "seem to be the fields"
        return f"; {' and '.join(named)} {seem} of view, and pixels outside do not count"


def detect_layout(root: Path) -> LayoutCandidate:
    """Return the only layout that a folder or archive can have.

    Args:
        root: The folder or archive.

    Raises:
        InputError: There is no such layout, or more than one, or one that leaves out many masks;
            the message shows them.
    """
    candidates = find_candidates(root)
    if not candidates:
        raise InputError(
            root,
            f"no layout was detected in it; {_summarise(list_files(root))}",
            "Write `layout` and its options into the catalog; the README has a table of them",
        )
    first = candidates[0]
    entries = "\n".join(f"  {each.explain(root)}" for each in candidates[:_MAX_SHOWN])
    if len(candidates) > 1:
        some = f", of which these are {_MAX_SHOWN}" if len(candidates) > _MAX_SHOWN else ""
        raise InputError(
            root,
            f"it can be read in {len(candidates)} ways{some}:\n{entries}\n",
            "Copy the intended one into conf/local/catalog.yml",
        )
    if first.masks_left > _MAX_UNUSED_MASKS * first.pairs:
        raise InputError(
            root,
            f"the detected layout leaves out {first.masks_left} files that are called masks:\n"
            f"{entries}\n",
            "If that is intended, copy it into conf/local/catalog.yml; otherwise correct it there",
        )
    return first


def find_candidates(root: Path) -> list[LayoutCandidate]:
    """Return all ways in which a folder or archive can be read, those with more images first.

    A way that makes nothing but a part of another one's pairs is left out.
    """
    listing = list_files(root)
    tried = _try(listing, list(_special_layouts(listing)))
    if not any(_is_certain(listing, reading) for reading, _ in tried):
        tables = [LayoutCandidate(*found) for found in find_table_candidates(listing)]
        names = [
            LayoutCandidate(*found)
            for found in use_fields_of_view_as_regions(listing, find_name_candidates(listing))
        ]
        tried += _try(listing, [*tables, *_join_splits(tables), *names, *_join_splits(names)])
    # The plainest first among those that make the same pairs, with splits before without.
    tried.sort(key=lambda each: (-len(each[1]), not each[0].splits, len(each[0].options)))
    kept: list[tuple[LayoutCandidate, Made]] = []
    for reading, made in tried:
        if not any(made <= more and (of.splits or not reading.splits) for of, more in kept):
            kept.append((reading, made))
    return [reading for reading, _ in kept]


def _try(
    listing: FileListing, candidates: list[LayoutCandidate]
) -> list[tuple[LayoutCandidate, Made]]:
    """Return the candidates that make pairs, and these pairs."""
    tried = []
    for candidate in candidates:
        try:
            pairing = find_pairs_in_listing(
                listing, candidate.layout, candidate.options, candidate.splits
            )
        except InputError:
            continue
        if pairing.pairs:
            made = frozenset((str(pair.image), pair.annotation.where) for pair in pairing.pairs)
            tried.append((_count(listing, candidate, pairing), made))
    return tried


def _count(listing: FileListing, reading: LayoutCandidate, pairing: Pairing) -> LayoutCandidate:
    """Add to a reading how much it reads, and how much it leaves out."""
    images = {str(pair.image.file) for pair in pairing.pairs}
    read = {str(picture.file) for picture in pairing.unlabelled.values()} | images
    read.update(str(file) for pair in pairing.pairs for file in pair.annotation.files)
    read.update(str(pair.region) for pair in pairing.pairs if pair.region is not None)
    others = [n for n, file in listing.files.items() if is_image(n) and str(file) not in read]
    words = {w for n, file in listing.files.items() if str(file) in images for w in _words(n)}
    masks = [n for n in others if has_mask_word(" ".join(w for w in _words(n) if w not in words))]
    left = 0 if reading.layout in ("cell_tracking", "objects") else len(masks)
    return replace(reading, pairs=len(pairing.pairs), others=len(others), masks_left=left)


def _words(name: str) -> list[str]:
    return re.split(r"[\W_]+", name)


def _special_layouts(listing: FileListing) -> Iterator[LayoutCandidate]:
    """Yield the layouts that the names of folders give away."""
    if any("_GT/SEG/man_seg" in name for name in listing.files):
        yield LayoutCandidate("cell_tracking")
    if any("_ST/SEG/man_seg" in name for name in listing.files):
        yield LayoutCandidate("cell_tracking", {"truth": "ST"})
    single = [folder for folder, masks in _count_objects(listing).items() if masks]
    if len(single) > 1:
        yield LayoutCandidate("objects")


def _is_certain(listing: FileListing, reading: LayoutCandidate) -> bool:
    """Tell whether it would be wrong to read the same files in another way."""
    return reading.layout == "cell_tracking" or any(
        masks > 1 for masks in _count_objects(listing).values()
    )


def _count_objects(listing: FileListing) -> dict[str, int]:
    """Count the masks in `<id>/masks` for each folder with one image in `<id>/images`.

    Returns:
        The numbers by `<id>`; none where most folders have several images and masks.
    """
    images: Counter[str] = Counter()
    masks: Counter[str] = Counter()
    for name in listing.files:
        folder, _, kind = name.rpartition("/")[0].rpartition("/")
        if folder and is_image(name) and kind in ("images", "masks"):
            (images if kind == "images" else masks)[folder] += 1
    single = {folder: masks[folder] for folder, count in images.items() if count == 1}
    several = [folder for folder, count in images.items() if count > 1 and masks[folder]]
    return single if len(several) < sum(map(bool, single.values())) else {}


def _join_splits(readings: list[LayoutCandidate]) -> list[LayoutCandidate]:
    """Make one reading of those that differ in a word for a split alone, as `train` and `val`."""
    joined: list[LayoutCandidate] = []
    for blank in (_blank_all, _blank_last, _blank_places):
        shapes: dict[tuple[str, str], dict[str, list[LayoutCandidate]]] = {}
        for reading in readings:
            words = {w for text in reading.options.values() for w in find_split_words(text)}
            for word in sorted(words):
                shape = (reading.layout, str(blank(reading.options, word)))
                parts = shapes.setdefault(shape, {})
                parts.setdefault(parse_split("splits", word), []).append(reading)
        for (layout, _), parts in shapes.items():
            sole = {name: readings[0] for name, readings in parts.items() if len(readings) == 1}
            if "train" not in sole or not len(parts) == len(set(map(id, sole.values()))) > 1:
                continue
            reading = LayoutCandidate(layout, {}, {s: sole[s].options for s in SPLITS if s in sole})
            joined += [reading] if reading not in joined else []
    return joined


def _blank_all(options: dict[str, str], word: str) -> dict[str, str]:
    """Return options without a word."""
    return {key: text.replace(word, "*") for key, text in options.items()}


def _blank_last(options: dict[str, str], word: str) -> dict[str, str]:
    """Return options without a word where it stands last."""
    return {key: "*".join(text.rsplit(word, 1)) for key, text in options.items()}


def _blank_places(options: dict[str, str], word: str) -> dict[str, str]:
    """Return options without a word in the folders and files, but with it in patterns."""
    patterns = {key: text for key, text in options.items() if key.endswith("_pattern")}
    return _blank_all(options, word) | patterns


def _summarise(listing: FileListing) -> str:
    kinds = Counter(
        (name.rpartition("/")[0] or "the folder itself", "." + name.rpartition(".")[2])
        for name in listing.files
    )
    rows = [f"{count} {ending} in {folder}" for (folder, ending), count in kinds.most_common(6)]
    return f"it holds {', '.join(rows) or 'no file'}"
