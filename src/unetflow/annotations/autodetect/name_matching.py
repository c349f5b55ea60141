"""Groups of image files that pair up by their names, between folders or within one."""

import os
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product, takewhile

from unetflow.annotations.autodetect.content_kind import has_mask_word
from unetflow.annotations.split_table import find_splits

_MIN_SHARED = 0.5  # of the smaller side's files; the message counts those that are left out
_MAX_FOLDERS = 200
_MAX_KINDS = 30
_MAX_CASE_FILES = 8  # files in a folder that holds one image and what belongs to it
NUMBER_RANK = 2
"""The rank of matches by the only number in the names."""

Names = tuple[str, str]
"""The names of an image and of its mask."""
Keys = dict[str, str]
"""Files by the key that pairs them."""
Kind = tuple[str, str, str]
"""The start, the end and the extension that all file names of a kind share."""


@dataclass(frozen=True)
class Match:
    """Files that pair up."""

    pairs: tuple[Names, ...]  # the masks are on the second side as soon as that is decided
    rank: int  # how complex the rule is that pairs them, 0 for equal names
    is_sure: bool = False  # whether words or pixels show that the second side holds the masks
    is_plausible: bool = False  # whether the first side looks like images, or is called so

    @cached_property
    def folders(self) -> Names:
        """The folder of each side."""
        images, masks = (
            posixpath.commonpath({posixpath.dirname(name) for name in side})
            for side in zip(*self.pairs, strict=True)
        )
        return images, masks

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that the first side's folders name, if these are the same for all."""
        splits = {find_splits(posixpath.dirname(image)) for image, _ in self.pairs}
        return splits.pop() if len(splits) == 1 else ()

    @cached_property
    def closeness(self) -> tuple[bool, int]:
        """How well images and masks fit: how many words and numbers their paths share."""
        ours, theirs = (re.split(r"[\W_]+", os.path.splitext(path)[0]) for path in self.pairs[0])
        return self.is_plausible, (Counter(ours) & Counter(theirs)).total()


def find_matches(names: list[str]) -> list[Match]:
    """Find folders of images, or kinds of names within folders, whose files pair up.

    Two sides match when half of the smaller one have a partner by one of these rules: equal paths
    within the folder, equal names but for what all names of a side begin or end with, or the only
    number in the names. The matches include those of images with images and of masks with masks.
    """
    kinds = _match_kinds(names)
    by_split = defaultdict(list)
    for number, pairs in enumerate(kinds):
        for pair in pairs:
            by_split[number, find_splits(posixpath.dirname(pair[0]))].append(pair)
    matches = [Match(tuple(part), 0) for part in by_split.values()]
    for one, other in combinations(_list_sides(names, kinds), 2):
        if not _may_match(one, other):
            continue
        for rank, (ours, theirs) in enumerate(zip(one.keys, other.keys, strict=True)):
            shared = ours.keys() & theirs.keys()
            # Equal counters are weak evidence: nearly all files of both sides must have one.
            same_start = rank != NUMBER_RANK and one.start == other.start
            are_counters = all(key.isdecimal() and int(key) < 1000 for key in shared)
            compared = max if rank and are_counters and not same_start else min
            if shared and len(shared) >= _MIN_SHARED * compared(len(ours), len(theirs)):
                both = tuple((ours[key], theirs[key]) for key in ours if key in shared)
                matches.append(Match(both, rank))
                break
    return matches


@dataclass(frozen=True)
class _Side:
    """Files that may be images, or masks."""

    folder: str  # holds all of them; "" is the root
    names: tuple[str, ...]  # their paths
    is_shallow: bool = False  # whether these are only the files directly in the folder

    @cached_property
    def keys(self) -> list[Keys]:
        """The files by key under each rule, simplest first; empty where keys are not unique."""
        skipped = len(self.folder) + 1 if self.folder else 0
        paths = [os.path.splitext(name[skipped:])[0] for name in self.names]
        stems = [posixpath.basename(path) for path in paths]
        without_start = [stem[len(self.start) :] for stem in stems]
        end = common_end(without_start)
        end = re.sub(r"^\d+", "", end) if len(stems) > 1 else ""
        different = [stem[: len(stem) - len(end)] for stem in without_start]
        numbers = [re.findall(r"\d+", stem) for stem in stems]
        only_number = [found[0] if len(found) == 1 else "" for found in numbers]
        return [
            dict(zip(keys, self.names, strict=True))
            if all(keys) and len(keys) == len(set(keys))
            else {}
            for keys in (paths, different, only_number)
        ]

    @cached_property
    def start(self) -> str:
        """The common start of all names, without digits, which distinguish them."""
        names = [posixpath.basename(name) for name in self.names]
        return re.sub(r"\d.*$", "", common_start(names)) if len(names) > 1 else ""

    @cached_property
    def template(self) -> str:
        """The folder's path with each number replaced by 0."""
        return re.sub(r"\d+", "0", self.folder)

    @cached_property
    def splits(self) -> set[str]:
        """The splits that the folder's path names."""
        return {*find_splits(self.folder)}


def _may_match(one: _Side, other: _Side) -> bool:
    """Return whether two sides may hold images and masks, going by their folders."""
    if one.folder == other.folder:
        return False
    outer, inner = sorted((one, other), key=lambda side: len(side.folder))
    is_nested = not outer.folder or inner.folder.startswith(outer.folder + "/")
    if outer.is_shallow != is_nested or inner.is_shallow:
        return False
    if one.splits and other.splits and one.splits.isdisjoint(other.splits):
        return False
    # Folders that differ only in a number are two patients, or two sizes of the same images.
    return one.template != other.template


def _list_sides(names: list[str], kinds: Iterable[list[Names]]) -> list[_Side]:
    """List the folders with all that they hold; those of several kinds of names by kind."""
    within: dict[str, list[str]] = defaultdict(list)
    directly: dict[str, list[str]] = defaultdict(list)
    for name in names:
        parts = name.split("/")[:-1]
        directly["/".join(parts)].append(name)
        for depth in range(1, len(parts) + 1):
            within["/".join(parts[:depth])].append(name)
    mixed = _list_parts(kinds, directly)
    sides = [_Side(folder, part) for folder, parts in mixed.items() for part in parts]
    sides += [
        _Side(folder, tuple(files), is_shallow=True)
        for folder, files in directly.items()
        if len(files) < len(within.get(folder, names))
    ]
    sizes = {(posixpath.dirname(folder), len(files)) for folder, files in within.items()}
    sides += [
        _Side(folder, tuple(files))
        for folder, files in within.items()
        # A folder that holds one folder and nothing else equals that one.
        if folder not in mixed and (folder, len(files)) not in sizes
    ]
    # Of too many, keep the highest folders, and the first cases with all their folders.
    by_depth = sorted(range(len(sides)), key=lambda i: sides[i].folder.count("/"))
    by_path = sorted(range(len(sides)), key=lambda i: sides[i].folder)
    return [sides[i] for i in sorted({*by_depth[:_MAX_FOLDERS], *by_path[:_MAX_FOLDERS]})]


def _list_parts(
    kinds: Iterable[list[Names]], directly: dict[str, list[str]]
) -> dict[str, list[tuple[str, ...]]]:
    """Return the files of each kind for the folders that hold little else."""
    parts: dict[str, dict[tuple[str, ...], None]] = defaultdict(dict)
    for side in (side for pairs in kinds for side in zip(*pairs, strict=True)):
        by_folder = defaultdict(list)
        for name in sorted(side):
            by_folder[posixpath.dirname(name)].append(name)
        for folder, names in by_folder.items():
            parts[folder][tuple(names)] = None
    return {
        folder: list(found)
        for folder, found in parts.items()
        if 2 * len({name for part in found for name in part}) > len(directly[folder])
    }


def _match_kinds(names: list[str]) -> list[list[Names]]:
    """Pair kinds of names in the same folder, such as `x.png` and `x_mask.png`."""
    folder_sizes = Counter(map(posixpath.dirname, names))
    parts: dict[Kind, Keys] = defaultdict(dict)
    wholes: dict[Kind, Keys] = defaultdict(dict)
    for name in names:
        folder, file_name = posixpath.split(name)
        for kind, key in _list_kinds(file_name):
            if key:
                parts[kind][f"{folder}/{key}"] = name
            elif folder_sizes[folder] <= _MAX_CASE_FILES:
                wholes[kind][folder] = name
    # A kind of one name is chance, and so are equal names in several folders, unless a word says
    # what they are.
    mask_kinds = {kind for kind in (*parts, *wholes) if has_mask_word(kind[0] + kind[1])}
    of_masks = {key for kind in parts.keys() & mask_kinds for key in parts[kind]}
    likely = [keys for keys in parts.values() if len(keys) > 1 or keys.keys() & of_masks]
    repeated = {kind: keys for kind, keys in wholes.items() if len(keys) > 1}
    images, masks = (
        [keys for kind, keys in repeated.items() if (kind in mask_kinds) == is_mask][:_MAX_KINDS]
        for is_mask in (False, True)
    )
    largest = sorted(likely, key=len, reverse=True)[:_MAX_KINDS]
    sides = [*combinations(largest, 2), *product(images, masks)]
    return [pairs for one, other in sides if (pairs := _pair_kinds(one, other))]


def _pair_kinds(one: Keys, other: Keys) -> list[Names]:
    """Return the files with a shared key; none if these are few or a file is on both sides."""
    pairs = [(one[key], other[key]) for key in one if key in other]
    is_enough = len(pairs) >= max(1, _MIN_SHARED * min(len(one), len(other)))
    return pairs if is_enough and {a for a, _ in pairs}.isdisjoint(b for _, b in pairs) else []


def _list_kinds(name: str) -> Iterator[tuple[Kind, str]]:
    """Yield the kinds that a file name may be of, each with the rest of the name."""
    stem, extension = os.path.splitext(name)
    yield ("", "", extension), stem
    if last := re.fullmatch(r"(.+)([_\-. ][^_\-. ]*[^\W\d_][^_\-. ]*)", stem):
        yield ("", last[2], extension), last[1]
    if first := re.fullmatch(r"([^\W\d_]+[_\-. ]?)(.+)", stem):
        yield (first[1], "", extension), first[2]
    if re.search(r"[^\W\d_]", stem):  # in a folder for each case, the folder is the key
        yield (stem, "", extension), ""


def common_start(texts: Sequence[str]) -> str:
    """Return the longest start that all texts share."""
    # All of them share what the first and the last one in alphabetical order share.
    same = takewhile(lambda pair: pair[0] == pair[1], zip(min(texts), max(texts), strict=False))
    return "".join(character for character, _ in same)


def common_end(texts: Sequence[str]) -> str:
    """Return the longest end that all texts share."""
    return common_start([text[::-1] for text in texts])[::-1]
