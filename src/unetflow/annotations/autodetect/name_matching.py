"""Which image files pair up by their names: those of two folders, or those of one."""

import os
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

from unetflow.annotations.autodetect.content_kind import has_mask_word
from unetflow.annotations.autodetect.name_patterns import common_prefix
from unetflow.annotations.split_table import find_splits

_LEAST_SHARED = 0.5  # of the smaller side's files; what is left over is shown later
_MOST_FOLDERS = 200
_MOST_KINDS = 30
_MOST_OF_A_CASE = 8  # files in a folder that holds one image and what belongs to it
NUMBER_RANK = 2
"""The rank of matches by the only number in the names."""

Keys = dict[str, str]
"""Files by what pairs them."""
Kind = tuple[str, str, str]
"""What all names of a kind begin with, end with before the dot, and end with."""


@dataclass(frozen=True)
class Match:
    """Files that pair up; nobody knows yet on which side the masks are.

    Attributes:
        pairs: A file of either side each.
        rank: How plain the rule is that pairs them, 0 for equal names.
    """

    pairs: tuple[tuple[str, str], ...]
    rank: int

    @cached_property
    def folders(self) -> tuple[str, str]:
        """The folder of either side."""
        one, other = (
            posixpath.commonpath({_folder_of(pair[side]) for pair in self.pairs}) for side in (0, 1)
        )
        return one, other


def find_matches(names: list[str]) -> list[Match]:
    """Find folders, or kinds of names within folders, whose files pair up.

    Two sides match when half of the smaller one have a partner, by one of these rules:
    equal paths below the folder, equal names but for what all names of a side begin or end with,
    or the only number in the names.

    Args:
        names: The paths of images.

    Returns:
        The matches, also of images with images and of masks with masks.
    """
    kinds = _find_kinds(names)
    return [*_within_folders(kinds), *_between_folders(_list_sides(names, kinds))]


@dataclass(frozen=True)
class _Side:
    """Files that may be images, or masks.

    Attributes:
        folder: A folder that all of them lie below; "" is the root.
        names: Their paths.
        shallow: Whether these are only the files directly in the folder.
    """

    folder: str
    names: tuple[str, ...]
    shallow: bool = False

    @cached_property
    def start(self) -> str:
        """What all names begin with; digits belong to what differs."""
        names = [name.rpartition("/")[2] for name in self.names]
        return re.sub(r"\d.*$", "", common_prefix(names)) if len(names) > 1 else ""

    @cached_property
    def keys(self) -> list[Keys]:
        """The files by key under each rule, the plainest first; none where keys are not unique."""
        skipped = len(self.folder) + 1 if self.folder else 0
        paths = [os.path.splitext(name[skipped:])[0] for name in self.names]
        stems = [path.rpartition("/")[2] for path in paths]
        end = _shared_end([stem[len(self.start) :] for stem in stems])
        bare = [stem[len(self.start) : len(stem) - len(end)] for stem in stems]
        numbers = [re.findall(r"\d+", stem) for stem in stems]
        sole = [found[0] for found in numbers] if all(len(n) == 1 for n in numbers) else []
        rules = [paths, bare, sole]
        return [
            dict(zip(keys, self.names, strict=True))
            if all(keys) and len(keys) == len(set(keys)) == len(self.names)
            else {}
            for keys in rules
        ]

    @cached_property
    def template(self) -> str:
        """The folder's path, with each number replaced by the same one."""
        return re.sub(r"\d+", "0", self.folder)

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that the folder's path names."""
        return find_splits(self.folder)


def _within_folders(kinds: list[tuple[Keys, Keys]]) -> Iterator[Match]:
    for ours, theirs in kinds:
        pairs = [(ours[key], theirs[key]) for key in ours if key in theirs]
        by_split = defaultdict(list)
        for pair in pairs:
            by_split[find_splits(_folder_of(pair[0]))].append(pair)
        for part in by_split.values():
            yield Match(tuple(part), 0)


def _between_folders(sides: list[_Side]) -> Iterator[Match]:
    for one, other in combinations(sides, 2):
        if not _may_match(one, other):
            continue
        for rank, (ours, theirs) in enumerate(zip(one.keys, other.keys, strict=True)):
            shared = ours.keys() & theirs.keys()
            # Counters say little, so that they must do so for nearly all files of both sides.
            alike = rank != NUMBER_RANK and one.start == other.start
            count = all(key.isdecimal() and int(key) < 1000 for key in shared)
            compared = (max if rank and count and not alike else min)(len(ours), len(theirs))
            if shared and len(shared) >= _LEAST_SHARED * compared:
                pairs = tuple((ours[key], theirs[key]) for key in ours if key in shared)
                yield Match(pairs, rank)
                break


def _may_match(one: _Side, other: _Side) -> bool:
    """Tell whether two sides may hold images and masks, going by their folders."""
    if one.folder == other.folder:
        return False
    outer, inner = sorted((one, other), key=lambda side: len(side.folder))
    nested = not outer.folder or inner.folder.startswith(outer.folder + "/")
    if outer.shallow != nested or inner.shallow:
        return False
    if one.splits and other.splits and not {*one.splits} & {*other.splits}:
        return False
    # Folders that differ in a number alone are two patients, or two sizes of the same.
    return one.template != other.template


def _list_sides(names: list[str], kinds: Iterable[tuple[Keys, Keys]]) -> list[_Side]:
    """List the folders with all that lies below them; those of several kinds in their parts."""
    below: dict[str, list[str]] = defaultdict(list)
    inside: dict[str, list[str]] = defaultdict(list)
    for name in names:
        parts = name.split("/")[:-1]
        inside["/".join(parts)].append(name)
        for depth in range(1, len(parts) + 1):
            below["/".join(parts[:depth])].append(name)
    mixed = _list_parts(kinds, inside)
    sides = [_Side(folder, part) for folder, parts in mixed.items() for part in parts]
    sides += [
        _Side(folder, tuple(inside[folder]), shallow=True)
        for folder in inside
        if len(inside[folder]) < len(below.get(folder, names))
    ]
    sizes = Counter((_folder_of(folder), len(files)) for folder, files in below.items())
    sides += [
        _Side(folder, tuple(files))
        for folder, files in below.items()
        # A folder with nothing but one folder in it is the same as that one.
        if folder not in mixed and not sizes[folder, len(files)]
    ]
    # Where there are too many, look at all that lies high up, and at some cases as a whole.
    by_depth = sorted(range(len(sides)), key=lambda i: sides[i].folder.count("/"))
    by_path = sorted(range(len(sides)), key=lambda i: sides[i].folder)
    return [sides[i] for i in sorted({*by_depth[:_MOST_FOLDERS], *by_path[:_MOST_FOLDERS]})]


def _list_parts(
    kinds: Iterable[tuple[Keys, Keys]], inside: dict[str, list[str]]
) -> dict[str, list[tuple[str, ...]]]:
    """Return the files of each kind in the folders that hold little else."""
    parts: dict[str, dict[tuple[str, ...], None]] = defaultdict(dict)
    for keys in (keys for pair in kinds for keys in pair):
        by_folder = defaultdict(list)
        for name in keys.values():
            by_folder[_folder_of(name)].append(name)
        for folder, names in by_folder.items():
            parts[folder][tuple(names)] = None
    return {
        folder: list(found)
        for folder, found in parts.items()
        if 2 * len({name for part in found for name in part}) > len(inside[folder])
    }


def _find_kinds(names: list[str]) -> list[tuple[Keys, Keys]]:
    """Find kinds of names that pair up in the same folder, such as `x.png` and `x_mask.png`."""
    crowds = Counter(map(_folder_of, names))
    parts: dict[Kind, Keys] = defaultdict(dict)
    wholes: dict[Kind, Keys] = defaultdict(dict)
    for name in names:
        folder = _folder_of(name)
        for kind, key in _possible_kinds(name.rpartition("/")[2]):
            if key:
                parts[kind][f"{folder}/{key}"] = name
            elif crowds[folder] <= _MOST_OF_A_CASE:
                wholes[kind][folder] = name
    for plain in [kind for kind in parts if kind[:2] == ("", "")]:
        parts[plain] = _without_derived(plain, parts)
    # A kind of one name is chance, and so are equal names in several folders, unless there is a
    # word that says what they are.
    of_masks = {key for kind, keys in parts.items() if _names_masks(kind) for key in keys}
    likely = [keys for keys in parts.values() if len(keys) > 1 or keys.keys() & of_masks]
    several = {kind: keys for kind, keys in wholes.items() if len(keys) > 1}
    sides = [
        *combinations(sorted(likely, key=len, reverse=True)[:_MOST_KINDS], 2),
        *product(
            [keys for kind, keys in several.items() if not _names_masks(kind)][:_MOST_KINDS],
            [keys for kind, keys in several.items() if _names_masks(kind)][:_MOST_KINDS],
        ),
    ]
    return [pair for one, other in sides for pair in _relate(one, other)]


def _relate(one: Keys, other: Keys) -> Iterator[tuple[Keys, Keys]]:
    """Yield what two kinds share, if it is most of one."""
    shared = one.keys() & other.keys()
    if len(shared) < max(1, _LEAST_SHARED * min(len(one), len(other))):
        return
    ours, theirs = ({key: keys[key] for key in keys if key in shared} for keys in (one, other))
    if set(ours.values()).isdisjoint(theirs.values()):
        yield ours, theirs


def _without_derived(plain: Kind, kinds: dict[Kind, Keys]) -> Keys:
    """Leave out names that are another one with something behind it, if there are several."""
    keys = kinds[plain]
    derived = {
        name
        for kind, others in kinds.items()
        if kind[1] and kind[2] == plain[2] and len(others) > 1 and others.keys() <= keys.keys()
        for name in others.values()
    }
    return {key: name for key, name in keys.items() if name not in derived}


def _names_masks(kind: Kind) -> bool:
    return has_mask_word(kind[0] + kind[1])


def _possible_kinds(name: str) -> Iterator[tuple[Kind, str]]:
    """Yield the kinds that a name may be of, each with the rest of the name."""
    stem, ending = os.path.splitext(name)
    yield ("", "", ending), stem
    if last := re.fullmatch(r"(.+)([_\-. ][^_\-. ]*[^\W\d_][^_\-. ]*)", stem):
        yield ("", last[2], ending), last[1]
    if first := re.fullmatch(r"([^\W\d_]+[_\-. ]?)(.+)", stem):
        yield (first[1], "", ending), first[2]
    if re.search(r"[^\W\d_]", stem):  # in a folder for each case, the folder tells them apart
        yield (stem, "", ending), ""


def _shared_end(stems: list[str]) -> str:
    """Return what all stems end with; digits belong to what differs."""
    if len(stems) < 2:
        return ""
    return re.sub(r"^\d+", "", common_prefix([stem[::-1] for stem in stems])[::-1])


def _folder_of(name: str) -> str:
    return name.rpartition("/")[0]
