"""Which folders, or which files of one folder, look like images and their masks."""

import os
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from unetflow.imaging.errors import InputError
from unetflow.imaging.files import File
from unetflow.imaging.readers import count_pages, is_image, read_image
from unetflow.imaging.trees import FileTree

_MASK_WORDS = re.compile(
    r"mask|label|lab$|annot|gt$|truth|seg|manual|target|instance|HO$", re.IGNORECASE
)
_LEAST_SHARED = 0.9
_LOOKED_AT = 3
_MOST_VALUES = 32
_MOST_FOLDERS = 60

Found = tuple[str, dict[str, Any]]
Kind = dict[str, str]
"""Names in the tree by what pairs them."""


def folder_options(tree: FileTree) -> list[Found]:
    """Return layout and options for each pair of folders or of kinds of names that match.

    Two sides match when at least nine tenths of their names do, and when exactly one of them
    holds masks: few different values, or a name that says so.
    """
    names = [name for name in tree.files if is_image(name)]
    found = [*_between_folders(tree, names), *_within_folders(tree, names)]
    return [_as_stacks(tree, options, first) for options, first in found]


def _between_folders(tree: FileTree, names: list[str]) -> Iterator[tuple[dict[str, Any], str]]:
    folders: dict[str, list[str]] = {}
    for name in names:
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folders.setdefault("/".join(parts[:depth]), []).append(name)
    taken: list[tuple[str, str]] = []
    ordered = sorted(folders, key=lambda folder: folder.count("/"))[:_MOST_FOLDERS]
    for one, other in combinations(ordered, 2):
        if not _are_siblings(one, other) or any(_lies_below((one, other), pair) for pair in taken):
            continue
        for patterns in _patterns(
            [name.removeprefix(one + "/") for name in folders[one]],
            [name.removeprefix(other + "/") for name in folders[other]],
        ):
            sides = _which_is_mask(tree, (one, folders[one]), (other, folders[other]))
            if sides is not None:
                flipped = sides == 0
                images, masks = (other, one) if flipped else (one, other)
                ours, theirs = patterns[::-1] if flipped else patterns
                taken.append((one, other))
                yield _options(images, masks, ours, theirs), folders[images][0]
            break


def _within_folders(tree: FileTree, names: list[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Look for names of one folder that differ in their last part or their ending alone."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    for folder, members in folders.items():
        kinds: dict[tuple[str, str], Kind] = {}
        for name in members:
            stem, ending = os.path.splitext(name.rpartition("/")[2])
            kinds.setdefault(("", ending), {})[stem] = name
            base, separator, token = _cut_last_part(stem)
            if base:
                kinds.setdefault((separator + token, ending), {})[base] = name
        for one, other in combinations(kinds, 2):
            shared = kinds[one].keys() & kinds[other].keys()
            if not shared or len(shared) < _LEAST_SHARED * min(len(kinds[one]), len(kinds[other])):
                continue
            if set(kinds[one].values()) & set(kinds[other].values()):
                continue
            if 2 * (len(kinds[one]) + len(kinds[other])) < len(members):
                continue
            sides = _which_is_mask(
                tree,
                ("".join(one), [kinds[one][key] for key in shared]),
                ("".join(other), [kinds[other][key] for key in shared]),
            )
            if sides is not None:
                image, mask = (other, one) if sides == 0 else (one, other)
                patterns = [f"^(.+){re.escape(''.join(kind))}$" for kind in (image, mask)]
                first = next(kinds[image][key] for key in kinds[image] if key in shared)
                yield _options(folder or ".", folder or ".", *patterns), first


def _patterns(ours: list[str], theirs: list[str]) -> Iterator[tuple[str | None, str | None]]:
    """Yield regular expressions that pair two lists of names, the simplest first."""
    stems = [[os.path.splitext(name)[0] for name in names] for names in (ours, theirs)]
    if _agree(*stems):
        yield None, None
    bases = [[stem.rpartition("/")[2] for stem in side] for side in stems]
    affixes = [_affixes(side) for side in bases]
    keys = [
        [stem[len(start) : len(stem) - len(end)] for stem in side]
        for side, (start, end) in zip(bases, affixes, strict=True)
    ]
    if _agree(*keys):
        first, second = (f"^{re.escape(start)}(.+){re.escape(end)}\\." for start, end in affixes)
        yield first, second
    numbers = [[re.sub(r"^\D*(\d+).*$", r"\1", stem) for stem in side] for side in bases]
    if all(number.isdecimal() for side in numbers for number in side) and _agree(*numbers):
        yield r"^\D*(\d+)", r"^\D*(\d+)"


def _agree(ours: list[str], theirs: list[str]) -> bool:
    """Tell whether nearly all keys are on both sides, and each stands for one file."""
    unique = len(set(ours)) == len(ours) and len(set(theirs)) == len(theirs)
    shared = len(set(ours) & set(theirs))
    return unique and all(ours) and shared >= _LEAST_SHARED * min(len(ours), len(theirs)) > 0


def _affixes(stems: list[str]) -> tuple[str, str]:
    """Return what all names begin and end with; digits belong to what differs."""
    if len(stems) < 2:
        return "", ""
    start = re.sub(r"\d+$", "", _shared_start(stems))
    rest = [stem[len(start) :] for stem in stems]
    end = _shared_start([stem[::-1] for stem in rest])[::-1]
    return start, re.sub(r"^\d+", "", end)


def _shared_start(texts: list[str]) -> str:
    # All texts share what the first and the last one in alphabetical order share.
    first, last = min(texts), max(texts)
    differing = (
        place for place, pair in enumerate(zip(first, last, strict=False)) if len({*pair}) > 1
    )
    return first[: next(differing, min(len(first), len(last)))]


def _which_is_mask(
    tree: FileTree, one: tuple[str, list[str]], other: tuple[str, list[str]]
) -> int | None:
    """Return 0 or 1 for the side that holds masks; None if that is not clear."""
    contents = [_look_like_masks([tree.files[n] for n in names]) for _, names in (one, other)]
    if contents[0] != contents[1]:
        return contents.index(True)
    words = [bool(_MASK_WORDS.search(name.rpartition("/")[2])) for name, _ in (one, other)]
    return words.index(True) if words[0] != words[1] else None


def _look_like_masks(files: list[File]) -> bool:
    """Tell whether the first images hold few different values; damaged ones say nothing."""
    verdicts = []
    for file in files[:_LOOKED_AT]:
        try:
            page = 0 if _pages(file) > 1 else None
            pixels = read_image(file, page=page)
        except InputError:
            continue
        colours = pixels.reshape(-1, pixels.shape[2])
        verdicts.append(len(np.unique(colours, axis=0)) <= _MOST_VALUES)
    return bool(verdicts) and all(verdicts)


def _as_stacks(tree: FileTree, options: dict[str, Any], first: str) -> Found:
    return ("stacks" if _pages(tree.files[first]) > 1 else "folders"), options


def _pages(file: File) -> int:
    if file.suffix.lower() not in (".tif", ".tiff"):
        return 1
    try:
        return count_pages(file)
    except Exception:  # a decoder raises anything on damaged bytes; later stages report them
        return 1


def _options(
    images: str, masks: str, image_pattern: str | None, mask_pattern: str | None
) -> dict[str, Any]:
    options = {"images": images, "masks": masks}
    if image_pattern and mask_pattern:
        options |= {"image_pattern": image_pattern, "mask_pattern": mask_pattern}
    return options


def _cut_last_part(stem: str) -> tuple[str, str, str]:
    match = re.fullmatch(r"(.+)([_\-. ])([^_\-. ]+)", stem)
    return (match[1], match[2], match[3]) if match else ("", "", "")


def _are_siblings(one: str, other: str) -> bool:
    """Tell whether two paths differ in one part, as `train/images` and `train/masks` do."""
    parts, others = one.split("/"), other.split("/")
    if len(parts) != len(others):
        return False
    return sum(a != b for a, b in zip(parts, others, strict=True)) == 1


def _lies_below(pair: tuple[str, str], above: tuple[str, str]) -> bool:
    return pair[0].startswith(above[0] + "/") and pair[1].startswith(above[1] + "/")
