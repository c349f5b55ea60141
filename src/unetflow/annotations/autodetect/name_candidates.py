"""Layouts `folders` and `stacks` that the names of images and masks suggest."""

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from unetflow.annotations.autodetect import content_kind
from unetflow.annotations.autodetect.content_kind import ContentKind
from unetflow.annotations.autodetect.name_matching import (
    NUMBER_RANK,
    Match,
    Names,
    common_end,
    common_start,
    find_matches,
)
from unetflow.annotations.layouts.find_pairs import LAYOUTS, LayoutOptions
from unetflow.annotations.layouts.folders import escape_pattern
from unetflow.annotations.split_table import find_splits
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.formats.readers import is_image

_MAX_COMPARED = 5  # matches of a group, with its first one
_NEARLY_ALL = 0.9  # of the pairs that names suggest
_PATTERNS = ("image_pattern", "mask_pattern")
_NUMBERS = (r"^\D*(\d+)", r"^\D*(\d+)")

Kinds = dict[tuple[str, str, str], ContentKind | None]


def find_name_candidates(listing: FileListing) -> list[LayoutOptions]:
    """Return layout and options for each kind of images and masks whose names pair up."""
    kinds: Kinds = {}
    found = find_matches([name for name in listing.files if is_image(name)])
    matches = [oriented for match in found for oriented in _orient(listing, match, kinds)]
    # Uncertain matches count only where there is no other one.
    matches = [match for match in matches if match.is_sure] or matches
    # One rule explains, for example, the matches of all patients.
    groups = defaultdict(list)
    for match in _select(matches):
        groups[_find_differences(match), match.splits].append(match)
    candidates: list[LayoutOptions] = []
    for group in groups.values():
        for part in _separate_copies(listing, group):
            pairs = dict.fromkeys(pair for match in part for pair in match.pairs)
            candidate = _find_options(listing, list(pairs), part[0].splits)
            if candidate is not None and candidate not in candidates:
                candidates.append(candidate)
    return candidates


def _orient(listing: FileListing, match: Match, kinds: Kinds) -> Iterator[Match]:
    """Yield a match with its masks on the second side; both ways where that is unclear."""
    differences = _find_differences(match)
    texts = (f"{differences[0]}/{differences[2]}", f"{differences[1]}/{differences[3]}")
    seen = []
    for side, folder in enumerate(match.folders):
        # The folders of all patients look the same: opening one of them is enough.
        extension = os.path.splitext(match.pairs[0][side])[1]
        key = (re.sub(r"\d+", "0", folder), differences[side + 2], extension)
        if key not in kinds:
            files = [listing.files[pair[side]] for pair in match.pairs]
            kinds[key] = content_kind.detect_content_kind(files)
        seen.append(kinds[key])
    sides, is_sure = content_kind.find_mask_sides(texts, seen)
    for masks in sides:
        images = 1 - masks
        looks_right = seen[images] in (None, ContentKind.IMAGE)
        is_plausible = looks_right or content_kind.has_image_word(texts[images])
        pairs = tuple((pair[images], pair[masks]) for pair in match.pairs)
        yield Match(pairs, match.rank, is_sure, is_plausible)


def _find_differences(match: Match) -> tuple[str, ...]:
    """Return the difference of the two folders, then that of the names in the first pair."""
    _, *in_folders, _ = find_difference(*match.folders)
    image, mask = (os.path.splitext(posixpath.basename(name))[0] for name in match.pairs[0])
    _, *in_names, _ = find_difference(image, mask)
    return (*in_folders, *(in_names if match.rank != NUMBER_RANK else ("", "")))


def _select(matches: list[Match]) -> list[Match]:
    """Keep matches most of whose masks are as close to the images by their paths as to any others.

    Leave out matches that are a part of others, unless they are a split's part of them.
    """
    best: dict[str, tuple[bool, int]] = defaultdict(lambda: (False, 0))
    for match in matches:
        for _, mask in match.pairs:
            best[mask] = max(best[mask], match.closeness)
    kept = []
    covered: dict[tuple[str, ...], set[Names]] = defaultdict(set)
    for match in sorted(matches, key=lambda match: (-len(match.pairs), match.rank)):
        n_closest = sum(best[mask] == match.closeness for _, mask in match.pairs)
        is_part = covered[match.splits].issuperset(match.pairs)
        if 2 * n_closest >= len(match.pairs) and not is_part:
            kept.append(match)
            covered[match.splits].update(match.pairs)
    return kept


def _separate_copies(listing: FileListing, group: list[Match]) -> list[list[Match]]:
    """Take a group apart if its parts show the same, such as folders `png` and `tif` of it."""
    files = [
        {os.path.splitext(name)[0].removeprefix(match.folders[0]): name for name, _ in match.pairs}
        for match in group
    ]
    for other in files[1 : _MAX_COMPARED + 1]:
        shared = islice((key for key in other if key in files[0]), 2)
        both = [(listing.files[files[0][key]], listing.files[other[key]]) for key in shared]
        if both and all(content_kind.is_same_image(*pair) for pair in both):
            return [[match] for match in group]
    return [group]


def _find_options(
    listing: FileListing, pairs: list[Names], splits: tuple[str, ...]
) -> LayoutOptions | None:
    """Return the simplest options that make these pairs, or nearly all of them."""
    layout = "stacks" if content_kind.is_multipage_tiff(listing.files[pairs[0][0]]) else "folders"
    names = {str(file): name for name, file in listing.files.items()}
    most, best = _NEARLY_ALL * len(pairs), None
    for options in propose_options(pairs):
        try:
            found = LAYOUTS[layout](listing, **options).pairs
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


def find_difference(one: str, other: str) -> tuple[str, str, str, str]:
    """Split two texts into their common start, what is different in each, and their common end.

    Words stay whole: "images" and "masks" share no "s".
    """
    start = common_start([one, other])
    rest = (one[len(start) :], other[len(start) :])
    end = common_end(rest)
    middle = [text[: len(text) - len(end)] for text in rest]
    if all(text[:1].isalpha() for text in middle):
        start, word = _cut(r"[^\W\d_]*$", start)
        middle = [word + text for text in middle]
    if all(text[-1:].isalpha() for text in middle):
        end, word = _cut(r"^[^\W\d_]*", end)
        middle = [text + word for text in middle]
    return start, middle[0], middle[1], end


def _cut(pattern: str, text: str) -> tuple[str, str]:
    """Return a text without what a pattern matches, and that part."""
    match = re.search(pattern, text)
    return (text[: match.start()] + text[match.end() :], match[0]) if match else (text, "")


def propose_options(pairs: Sequence[Names]) -> Iterator[dict[str, Any]]:
    """Yield options that may pair the paths of images and masks, simplest first, to be tried."""
    if len(pairs) == 1:
        yield {"images": pairs[0][0], "masks": pairs[0][1]}
    sides = list(zip(*pairs, strict=True))
    images, masks = (posixpath.commonpath(map(posixpath.dirname, side)) for side in sides)
    places = {"images": images or ".", "masks": masks or "."}
    names = [(posixpath.basename(image), posixpath.basename(mask)) for image, mask in pairs]
    in_names = _describe_names(names)
    if images != masks:
        yield places
        for rule in filter(None, (in_names, _NUMBERS)):
            yield places | dict(zip(_PATTERNS, rule, strict=True))
    elif in_names:
        yield places | dict(zip(_PATTERNS, _exclude_each_other(in_names, names), strict=True))
    top = posixpath.commonpath((images, masks)) if images and masks else ""
    within = [
        (image.removeprefix(top).lstrip("/"), mask.removeprefix(top).lstrip("/"))
        for image, mask in pairs
    ]
    folders = [(posixpath.dirname(image), posixpath.dirname(mask)) for image, mask in within]
    in_folders = _describe(folders) if all(map(all, folders)) else None
    for rule in filter(None, (in_names, _NUMBERS)):
        if in_folders:
            image, mask = (f"^{f}/{n[1:]}" for f, n in zip(in_folders, rule, strict=True))
            rules = _exclude_each_other((image, mask), within)
            both = dict.fromkeys(("images", "masks"), top or ".")
            yield both | dict(zip(_PATTERNS, rules, strict=True))


def _describe_names(names: Sequence[Names]) -> Names | None:
    """Return patterns with groups for what the names of each pair share; None without a rule."""
    split = [tuple(map(os.path.splitext, pair)) for pair in names]
    patterns = _describe([(image[0], mask[0]) for image, mask in split])
    if patterns is None:
        return None
    extensions = ({image[1] for image, _ in split}, {mask[1] for _, mask in split})
    image, mask = (
        f"^{pattern}{escape_pattern(found.pop())}$" if len(found) == 1 else f"^{pattern}\\."
        for pattern, found in zip(patterns, extensions, strict=True)
    )
    return image, mask


def _describe(texts: Sequence[Names]) -> Names | None:
    """Return patterns with groups for what the two sides share; None without a rule."""
    starts, ones, others, ends = zip(*(find_difference(*pair) for pair in texts), strict=True)
    if len({*zip(ones, others, strict=True)}) > 1:
        return None
    start, end = _generalise(starts), _generalise([text[::-1] for text in ends], backwards=True)
    return f"{start}{escape_pattern(ones[0])}{end}", f"{start}{escape_pattern(others[0])}{end}"


def _generalise(texts: Sequence[str], backwards: bool = False) -> str:
    """Return a pattern for all texts: their only value, or a group and their common end."""
    if len(set(texts)) == 1 and (len(texts) > 1 or not texts[0]):
        return escape_pattern(texts[0][::-1] if backwards else texts[0])
    end = common_end(texts)
    folders, signs = re.search(r"/.*$", end), re.search(r"[_\-. ]*$", end)
    fixed = next(match[0] for match in (folders, signs) if match)
    group = "(.+)" if all(len(text) > len(fixed) for text in texts) else "(.*)"
    return escape_pattern(fixed[::-1]) + group if backwards else group + escape_pattern(fixed)


def _exclude_each_other(patterns: Names, names: Sequence[Names]) -> Names:
    """Keep each pattern from matching what is on the other side."""
    image, mask = patterns
    images_match = any(re.search(mask, name) for name, _ in names)
    masks_match = any(re.search(image, name) for _, name in names)
    ungrouped = [re.sub(r"\((\.[*+]|\\d\+)\)", r"\1", pattern[1:]) for pattern in patterns]
    return (
        f"^(?!{ungrouped[1]}){image[1:]}" if masks_match else image,
        f"^(?!{ungrouped[0]}){mask[1:]}" if images_match else mask,
    )
