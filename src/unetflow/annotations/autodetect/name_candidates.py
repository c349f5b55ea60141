"""Readings of a file listing that the names of its images and masks give away."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from unetflow.annotations.autodetect.content_kind import (
    ContentKind,
    detect_content_kind,
    find_mask_sides,
    has_image_word,
    is_multipage_tiff,
    is_same_image,
)
from unetflow.annotations.autodetect.name_matching import NUMBER_RANK, Match, find_matches
from unetflow.annotations.autodetect.name_patterns import Names, find_difference, propose_options
from unetflow.annotations.layouts.folders import find_folder_pairs
from unetflow.annotations.layouts.stacks import find_stacks
from unetflow.annotations.split_table import find_splits
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.formats.registry import is_image

_COMPARED = 5  # parts of a group, with its first one
_NEARLY_ALL = 0.9  # of the pairs that names suggest

Found = tuple[str, dict[str, Any]]
Looks = dict[tuple[str, str, str], ContentKind | None]


def find_name_candidates(listing: FileListing) -> list[Found]:
    """Return layout and options for each kind of images and masks whose names pair up.

    Args:
        listing: The files.

    Returns:
        The layouts `folders` and `stacks` with their options.
    """
    looks: Looks = {}
    matches = find_matches([name for name in listing.files if is_image(name)])
    sided = [side for match in matches for side in _tell_sides(listing, match, looks)]
    # What only may be images and masks is of interest where nothing else is.
    sided = [side for side in sided if side.sure] or sided
    found: list[Found] = []
    for group in _group(_drop_parts(_keep_closest(sided))):
        for part in _split_copies(listing, group):
            pairs = dict.fromkeys(pair for side in part for pair in side.pairs)
            reading = _try_options(listing, list(pairs), part[0].splits)
            if reading is not None and reading not in found:
                found.append(reading)
    return found


@dataclass(frozen=True)
class _Sided:
    """A match of images with what are, or may be, their masks.

    Attributes:
        pairs: The images and masks.
        folders: Their folders.
        sure: Whether a word or the pixels say so.
        plausible: Whether the images look like images, or are called so.
        rank: See `Match`.
    """

    pairs: tuple[Names, ...]
    folders: Names
    sure: bool
    plausible: bool
    rank: int

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that the images' folders name, if these are the same for all."""
        folders = {image.rpartition("/")[0] for image, _ in self.pairs}
        splits = {find_splits(folder) for folder in folders}
        return splits.pop() if len(splits) == 1 else ()

    @cached_property
    def closeness(self) -> tuple[bool, int]:
        """How well images and masks fit: by how many words and numbers their paths share."""
        ours, theirs = (re.split(r"[\W_]+", os.path.splitext(path)[0]) for path in self.pairs[0])
        shared = sum(min(ours.count(word), theirs.count(word)) for word in set(ours))
        return self.plausible, shared

    @property
    def differences(self) -> tuple[str, ...]:
        """In what the folders and the names of images and masks differ."""
        return _differences(self.folders, self.pairs[0], self.rank)


def _differences(folders: Names, pair: Names, rank: int) -> tuple[str, ...]:
    """Return in what two folders differ, and in what the names of a pair do."""
    _, *in_folders, _ = find_difference(*folders)
    names = [os.path.splitext(name.rpartition("/")[2])[0] for name in pair]
    _, *in_names, _ = find_difference(*names)
    return (*in_folders, *(in_names if rank != NUMBER_RANK else ("", "")))


def _tell_sides(listing: FileListing, match: Match, looks: Looks) -> Iterator[_Sided]:
    """Yield a match with its masks on the second side; both ways where that is not clear."""
    differences = _differences(match.folders, match.pairs[0], match.rank)
    texts = [f"{differences[i]}/{differences[i + 2]}" for i in (0, 1)]
    seen = []
    for side, folder in enumerate(match.folders):
        # The folders of all patients look the same: it is enough to open one of them.
        ending = os.path.splitext(match.pairs[0][side])[1]
        kind = (re.sub(r"\d+", "0", folder), differences[side + 2], ending)
        if kind not in looks:
            looks[kind] = detect_content_kind([listing.files[pair[side]] for pair in match.pairs])
        seen.append(looks[kind])
    sides, sure = find_mask_sides((texts[0], texts[1]), (seen[0], seen[1]))
    for masks in sides:
        images = 1 - masks
        pairs = tuple((pair[images], pair[masks]) for pair in match.pairs)
        folders = (match.folders[images], match.folders[masks])
        plausible = seen[images] in (None, ContentKind.IMAGE) or has_image_word(texts[images])
        yield _Sided(pairs, folders, sure, plausible, match.rank)


def _keep_closest(sided: list[_Sided]) -> list[_Sided]:
    """Leave out matches whose masks are closer to other images by their paths."""
    best: dict[str, tuple[bool, int]] = defaultdict(lambda: (False, 0))
    for side in sided:
        for _, mask in side.pairs:
            best[mask] = max(best[mask], side.closeness)
    return [
        side
        for side in sided
        if 2 * sum(best[mask] == side.closeness for _, mask in side.pairs) >= len(side.pairs)
    ]


def _drop_parts(sided: list[_Sided]) -> list[_Sided]:
    """Leave out matches that are a part of others, unless they are a split's part of them."""
    kept = []
    covered: dict[tuple[str, ...], set[Names]] = defaultdict(set)
    for side in sorted(sided, key=lambda side: (-len(side.pairs), side.rank)):
        if not covered[side.splits].issuperset(side.pairs):
            kept.append(side)
            covered[side.splits].update(side.pairs)
    return kept


def _group(sided: list[_Sided]) -> list[list[_Sided]]:
    """Put together the matches that one rule explains, such as those of all patients."""
    groups: dict[tuple[tuple[str, ...], ...], list[_Sided]] = defaultdict(list)
    for side in sided:
        groups[side.differences, side.splits].append(side)
    return list(groups.values())


def _split_copies(listing: FileListing, group: list[_Sided]) -> list[list[_Sided]]:
    """Take a group apart if its parts show the same, such as folders `png` and `tif` of it."""
    files = [
        {os.path.splitext(image)[0].removeprefix(side.folders[0]): image for image, _ in side.pairs}
        for side in group
    ]
    for other in files[1 : _COMPARED + 1]:
        shared = list(islice((key for key in other if key in files[0]), 2))
        if shared and all(
            is_same_image(listing.files[files[0][key]], listing.files[other[key]]) for key in shared
        ):
            return [[side] for side in group]
    return [group]


def _try_options(listing: FileListing, pairs: list[Names], splits: tuple[str, ...]) -> Found | None:
    """Return the plainest options that make these pairs, or nearly all of them."""
    is_stacked = is_multipage_tiff(listing.files[pairs[0][0]])
    layout, find = ("stacks", find_stacks) if is_stacked else ("folders", find_folder_pairs)
    names = {str(file): name for name, file in listing.files.items()}
    most, best = _NEARLY_ALL * len(pairs), None
    for options in propose_options(pairs):
        try:
            found = find(listing, **options).pairs
        except InputError:
            continue
        made = {(names[str(p.image.file)], names[str(*p.annotation.files)]) for p in found}
        others = {image.rpartition("/")[0] for image, _ in made.difference(pairs)}
        if splits and any(find_splits(folder) != splits for folder in others):
            continue
        right = len(made.intersection(pairs))
        if right > most or (best is None and right == most):
            most, best = right, (layout, options)
    return best
