"""Layouts `folders` and `stacks` that the names of images and masks suggest."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from unetflow.annotations.autodetect.content_kind import (
    ContentKind,
    detect_content_kind,
    find_mask_sides,
    has_image_word,
    is_multipage_tiff,
    is_same_image,
)
from unetflow.annotations.autodetect.name_matching import Match, find_matches
from unetflow.annotations.autodetect.name_patterns import Names, propose_options
from unetflow.annotations.layouts.folders import find_folder_pairs
from unetflow.annotations.layouts.registry import LayoutOptions
from unetflow.annotations.layouts.stacks import find_stacks
from unetflow.annotations.split_table import find_splits
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.formats.readers import is_image

_MAX_COMPARED = 5  # matches of a group, with its first one
_NEARLY_ALL = 0.9  # of the pairs that names suggest

Kinds = dict[tuple[str, str, str], ContentKind | None]


def find_name_candidates(listing: FileListing) -> list[LayoutOptions]:
    """Return layout and options for each kind of images and masks whose names pair up."""
    kinds: Kinds = {}
    found = find_matches([name for name in listing.files if is_image(name)])
    matches = [oriented for match in found for oriented in _orient(listing, match, kinds)]
    # Uncertain matches count only where there is no other one.
    matches = [match for match in matches if match.is_sure] or matches
    candidates: list[LayoutOptions] = []
    for group in _group(_drop_parts(_keep_closest(matches))):
        for part in _separate_copies(listing, group):
            pairs = dict.fromkeys(pair for match in part for pair in match.pairs)
            candidate = _find_options(listing, list(pairs), part[0].splits)
            if candidate is not None and candidate not in candidates:
                candidates.append(candidate)
    return candidates


def _orient(listing: FileListing, match: Match, kinds: Kinds) -> Iterator[Match]:
    """Yield a match with its masks on the second side; both ways where that is unclear."""
    differences = match.differences
    texts = (f"{differences[0]}/{differences[2]}", f"{differences[1]}/{differences[3]}")
    seen = []
    for side, folder in enumerate(match.folders):
        # The folders of all patients look the same: opening one of them is enough.
        extension = os.path.splitext(match.pairs[0][side])[1]
        key = (re.sub(r"\d+", "0", folder), differences[side + 2], extension)
        if key not in kinds:
            kinds[key] = detect_content_kind([listing.files[pair[side]] for pair in match.pairs])
        seen.append(kinds[key])
    sides, is_sure = find_mask_sides(texts, (seen[0], seen[1]))
    for masks in sides:
        images = 1 - masks
        yield replace(
            match,
            pairs=tuple((pair[images], pair[masks]) for pair in match.pairs),
            is_sure=is_sure,
            is_plausible=seen[images] in (None, ContentKind.IMAGE) or has_image_word(texts[images]),
        )


def _keep_closest(matches: list[Match]) -> list[Match]:
    """Leave out matches most of whose masks are closer to other images by their paths."""
    best: dict[str, tuple[bool, int]] = defaultdict(lambda: (False, 0))
    for match in matches:
        for _, mask in match.pairs:
            best[mask] = max(best[mask], match.closeness)
    return [
        match
        for match in matches
        if 2 * sum(best[mask] == match.closeness for _, mask in match.pairs) >= len(match.pairs)
    ]


def _drop_parts(matches: list[Match]) -> list[Match]:
    """Leave out matches that are a part of others, unless they are a split's part of them."""
    kept = []
    covered: dict[tuple[str, ...], set[Names]] = defaultdict(set)
    for match in sorted(matches, key=lambda match: (-len(match.pairs), match.rank)):
        if not covered[match.splits].issuperset(match.pairs):
            kept.append(match)
            covered[match.splits].update(match.pairs)
    return kept


def _group(matches: list[Match]) -> list[list[Match]]:
    """Put together the matches that one rule explains, such as those of all patients."""
    groups = defaultdict(list)
    for match in matches:
        groups[match.differences, match.splits].append(match)
    return list(groups.values())


def _separate_copies(listing: FileListing, group: list[Match]) -> list[list[Match]]:
    """Take a group apart if its parts show the same, such as folders `png` and `tif` of it."""
    files = [
        {os.path.splitext(name)[0].removeprefix(match.folders[0]): name for name, _ in match.pairs}
        for match in group
    ]
    for other in files[1 : _MAX_COMPARED + 1]:
        shared = list(islice((key for key in other if key in files[0]), 2))
        if shared and all(
            is_same_image(listing.files[files[0][key]], listing.files[other[key]]) for key in shared
        ):
            return [[match] for match in group]
    return [group]


def _find_options(
    listing: FileListing, pairs: list[Names], splits: tuple[str, ...]
) -> LayoutOptions | None:
    """Return the simplest options that make these pairs, or nearly all of them."""
    is_stack = is_multipage_tiff(listing.files[pairs[0][0]])
    layout, find = ("stacks", find_stacks) if is_stack else ("folders", find_folder_pairs)
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
