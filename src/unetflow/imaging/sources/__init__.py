"""Where images and their annotations come from: one small module for each layout.

A layout is a function `(tree, **options) -> Pairing` that looks at names only, or at small
tables; pixels are read later, one image at a time. A new one is a module, a line in `LAYOUTS` and
a test.
"""

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unetflow.imaging.errors import InputError
from unetflow.imaging.sources.folders import find_folder_pairs
from unetflow.imaging.sources.objects import find_object_masks
from unetflow.imaging.sources.records import Annotation, Drawn, Pair, Pairing, Picture
from unetflow.imaging.trees import list_tree

__all__ = ["LAYOUTS", "Annotation", "Drawn", "Pair", "Pairing", "Picture", "find_pairs"]

Layout = Callable[..., Pairing]

LAYOUTS: dict[str, Layout] = {
    "folders": find_folder_pairs,
    "objects": find_object_masks,
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
    find = _layout(layout, options)
    tree = list_tree(root)
    if not splits:
        return find(tree, **options)
    pairs, refused, unlabelled = [], list[InputError](), dict[str, Picture]()
    for split, differing in splits.items():
        merged = {**options, **differing}
        part = _layout(layout, merged)(tree, **merged)
        pairs += [replace(pair, id=f"{split}/{pair.id}", split=split) for pair in part.pairs]
        refused += [error for error in part.refused if error not in tree.refused]
        unlabelled |= {f"{split}/{name}": picture for name, picture in part.unlabelled.items()}
    return Pairing(pairs, [*tree.refused, *refused], unlabelled)


def _layout(name: str, options: Mapping[str, Any]) -> Layout:
    """Return a layout whose options have been checked."""
    if name not in LAYOUTS:
        raise InputError("layout", f"there is no layout '{name}'", _similar(name, list(LAYOUTS)))
    find = LAYOUTS[name]
    known = [parameter for parameter in inspect.signature(find).parameters if parameter != "tree"]
    for option in options:
        if option not in known:
            raise InputError(
                option, f"the layout '{name}' has no such option", _similar(option, known)
            )
    return find


def _similar(name: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean '{matches[0]}'" if matches else f"Known: {', '.join(known)}"
