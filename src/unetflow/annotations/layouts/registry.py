"""Where images and their annotations come from: one small module for each layout.

A layout is a function `(listing, **options) -> Pairing` that looks at names only, or at small
tables; pixels are read later, one image at a time. A new one is a module, a line in `LAYOUTS` and
a test.
"""

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unetflow.annotations.layouts.cell_tracking import find_cell_tracking
from unetflow.annotations.layouts.coco import find_coco
from unetflow.annotations.layouts.folders import find_folder_pairs
from unetflow.annotations.layouts.labelme import find_labelme
from unetflow.annotations.layouts.objects import find_object_masks
from unetflow.annotations.layouts.rle_table import find_rle_table
from unetflow.annotations.layouts.stacks import find_stacks
from unetflow.annotations.records import Pair, Pairing, SourceImage
from unetflow.annotations.shapes import share_name_counts
from unetflow.annotations.split_table import parse_split
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing, list_files

Layout = Callable[..., Pairing]

LAYOUTS: dict[str, Layout] = {
    "folders": find_folder_pairs,
    "objects": find_object_masks,
    "stacks": find_stacks,
    "cell_tracking": find_cell_tracking,
    "rle": find_rle_table,
    "coco": find_coco,
    "labelme": find_labelme,
}


def find_pairs(
    root: Path,
    layout: str,
    options: Mapping[str, Any],
    splits: Mapping[str, Mapping[str, Any]] | None = None,
) -> Pairing:
    """Find the annotated images of a data set.

    Args:
        root: A folder or a zip archive.
        layout: One of `LAYOUTS`.
        options: The layout's options.
        splits: Where the data set is split already: for each of "train", "validation" and "test"
            the options that differ. The ids then begin with the split's name.

    Returns:
        The pairs in natural order, and what is left over.

    Raises:
        InputError: An option or a name is wrong, or nothing is there.
    """
    return find_pairs_in_listing(list_files(root), layout, options, splits)


def find_pairs_in_listing(
    listing: FileListing,
    layout: str,
    options: Mapping[str, Any],
    splits: Mapping[str, Mapping[str, Any]] | None = None,
) -> Pairing:
    """Do the same as `find_pairs` for files that have been listed."""
    if splits is None or splits == {}:
        pairing = _layout(layout, options)(listing, **options)
    else:
        pairing = _find_splits(listing, layout, options, splits)
    pairing = _refuse_double_ids(pairing)
    return replace(pairing, pairs=share_name_counts(pairing.pairs))


def _find_splits(
    listing: FileListing,
    layout: str,
    options: Mapping[str, Any],
    splits: Mapping[str, Mapping[str, Any]],
) -> Pairing:
    """Find the pairs of each split, whose name then leads their ids."""
    pairs, refused, unlabelled = [], list[InputError](), dict[str, SourceImage]()
    for split, merged in _merge(options, splits).items():
        part = _layout(layout, merged)(listing, **merged)
        pairs += [replace(pair, id=f"{split}/{pair.id}", split=split) for pair in part.pairs]
        refused += [error for error in part.refused if error not in listing.refused]
        unlabelled |= {f"{split}/{name}": picture for name, picture in part.unlabelled.items()}
    labelled = {pair.image for pair in pairs}  # perhaps by a table of another split
    waiting = {name: picture for name, picture in unlabelled.items() if picture not in labelled}
    return Pairing(pairs, [*listing.refused, *refused], waiting)


def _merge(
    options: Mapping[str, Any], splits: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the options of each split by its standard name."""
    if not isinstance(splits, dict):
        raise InputError(
            "splits",
            f"{splits!r} does not say what lies where",
            "Write it as in 'splits: {train: {images: train, masks: train_masks}}'",
        )
    merged: dict[str, dict[str, Any]] = {}
    for name, differing in splits.items():
        split = parse_split("splits", str(name))
        if split in merged:
            raise InputError("splits", f"it has '{split}' twice", "Join the two")
        if not isinstance(differing, Mapping):
            raise InputError(
                f"splits.{name}",
                f"{differing!r} is no list of options",
                "Write them as in 'train: {images: train, masks: train_masks}'",
            )
        merged[split] = {**options, **differing}
    return merged


def _refuse_double_ids(pairing: Pairing) -> Pairing:
    """Leave out a pair whose id another one has; on most disks names differ in more than case."""
    first: dict[str, Pair] = {}
    refused = list(pairing.refused)
    for pair in pairing.pairs:
        other = first.setdefault(pair.id.lower(), pair)
        if other is not pair:
            problem = f"it would have the same name '{pair.id}' as {other.image}"
            refused.append(InputError(pair.image, problem, "Rename one of them"))
    return Pairing(list(first.values()), refused, pairing.unlabelled)


def _layout(name: str, options: Mapping[str, Any]) -> Layout:
    """Return a layout whose options have been checked."""
    if not isinstance(name, str) or name not in LAYOUTS:
        problem = f"there is no layout '{name}'"
        raise InputError("layout", problem, _similar(str(name), list(LAYOUTS)))
    find = LAYOUTS[name]
    known = {n: p for n, p in inspect.signature(find).parameters.items() if n != "listing"}
    for option, value in options.items():
        if option not in known:
            raise InputError(
                option,
                f"the layout '{name}' has no such option",
                _similar(str(option), list(known)),
            )
        if not isinstance(value, known[option].annotation):
            kind = "true or false" if known[option].annotation is bool else "a text"
            raise InputError(
                option, f"{value!r} is not {kind}", "Correct it; a text may need quotes around it"
            )
    for option, parameter in known.items():
        if parameter.default is parameter.empty and option not in options:
            raise InputError(option, f"the layout '{name}' needs it", "Add it to the catalog entry")
    return find


def _similar(name: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean '{matches[0]}'" if matches else f"Known: {', '.join(known)}"
