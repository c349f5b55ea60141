"""The layouts of data sets by their names.

A layout is a function `(listing, **options) -> Pairing` that reads only names and small tables;
pixels are read later, one image at a time. Images without annotation are unlabelled. It raises an
`InputError` if an option is wrong, or a folder, a table or all images are missing. A new layout is
a function, a line in `LAYOUTS` and a test.
"""

import difflib
import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import create_model

from unetflow.annotations.layouts.coco_table import find_coco
from unetflow.annotations.layouts.folders import find_folder_pairs, find_stacks
from unetflow.annotations.layouts.labelme import find_labelme
from unetflow.annotations.layouts.object_masks import find_cell_tracking, find_object_masks
from unetflow.annotations.layouts.rle_table import find_rle_table
from unetflow.annotations.raster import ShapeAnnotation, SourceImage
from unetflow.annotations.records import Pair, Pairing
from unetflow.annotations.split_table import parse_split
from unetflow.config.base import Strict, read_parameters
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing, list_files

Options = Mapping[str, Any]
Splits = Mapping[str, Options]
"""The options that differ for each split."""
LayoutOptions = tuple[str, dict[str, Any]]
"""The name of a layout and its options."""

LAYOUTS: dict[str, Callable[..., Pairing]] = {
    "folders": find_folder_pairs,
    "objects": find_object_masks,
    "stacks": find_stacks,
    "cell_tracking": find_cell_tracking,
    "rle": find_rle_table,
    "coco": find_coco,
    "labelme": find_labelme,
}


def find_pairs(
    root: Path | FileListing, layout: str, options: Options, splits: Splits | None = None
) -> Pairing:
    """Find the annotated images of a data set.

    Args:
        root: A folder or a zip archive, or the files in one.
        layout: One of `LAYOUTS`.
        options: The layout's options.
        splits: For a data set that is already split, the options that differ for each of "train",
            "validation" and "test". The ids then begin with the split's name.

    Raises:
        InputError: An option or a name is wrong, or nothing is found.
    """
    listing = root if isinstance(root, FileListing) else list_files(root)
    if splits is None or splits == {}:
        pairing = _get_layout(layout, options)(listing, **options)
    else:
        pairing = _find_splits(listing, layout, _merge(options, splits))
    first: dict[str, Pair] = {}
    pairs, refused, counts = [], list(pairing.refused), Counter[str]()
    for pair in pairing.pairs:
        # Ids become file names, and most disks cannot tell names apart by case.
        other = first.setdefault(pair.id.lower(), pair)
        if other is not pair:
            problem = f"it would have the same name '{pair.id}' as {other.image}"
            refused.append(InputError(pair.image, problem, "Rename one of them"))
            continue
        annotation = pair.annotation
        if isinstance(annotation, ShapeAnnotation):
            # All share the names in all of them, so that an error lists all undeclared ones.
            counts.update(annotation.count_names())
            annotation = replace(annotation, name_counts=counts)
        pairs.append(replace(pair, annotation=annotation))
    return replace(pairing, pairs=pairs, refused=refused)


def _find_splits(listing: FileListing, layout: str, splits: Splits) -> Pairing:
    """Find the pairs of each split, whose name then begins their ids."""
    pairs, refused = [], list(listing.refused)
    unlabelled: dict[str, SourceImage] = {}
    for split, options in splits.items():
        part = _get_layout(layout, options)(listing, **options)
        pairs += [replace(pair, id=f"{split}/{pair.id}", split=split) for pair in part.pairs]
        refused += [error for error in part.refused if error not in listing.refused]
        unlabelled |= {f"{split}/{name}": image for name, image in part.unlabelled.items()}
    labelled = {pair.image for pair in pairs}  # perhaps by a table of another split
    waiting = {name: image for name, image in unlabelled.items() if image not in labelled}
    return Pairing(pairs, refused, waiting)


def _merge(options: Options, splits: Splits) -> dict[str, Options]:
    """Return the options of each split by its standard name."""
    example = "Write it as in 'splits: {train: {images: train, masks: train_masks}}'"
    if not isinstance(splits, dict):
        raise InputError("splits", f"{splits!r} does not assign options to splits", example)
    merged: dict[str, Options] = {}
    for name, differing in splits.items():
        split = parse_split("splits", str(name))
        if split in merged:
            raise InputError("splits", f"it has '{split}' twice", "Join the two")
        if not isinstance(differing, Mapping):
            raise InputError(f"splits.{name}", f"{differing!r} is not a list of options", example)
        merged[split] = {**options, **differing}
    return merged


def _get_layout(name: str, options: Options) -> Callable[..., Pairing]:
    """Return a layout after a check of its options."""
    if not isinstance(name, str) or name not in LAYOUTS:
        similar = difflib.get_close_matches(str(name), LAYOUTS, n=1)
        fix = f"Did you mean '{similar[0]}'" if similar else f"Known: {', '.join(LAYOUTS)}"
        raise InputError("layout", f"there is no layout '{name}'", fix)
    read_parameters(_options_model(name), options, name)
    return LAYOUTS[name]


@cache
def _options_model(layout: str) -> type[Strict]:
    """Return a model of a layout's options."""
    fields: dict[str, Any] = {
        option: (p.annotation, ... if p.default is p.empty else p.default)
        for option, p in inspect.signature(LAYOUTS[layout]).parameters.items()
        if option != "listing"
    }
    return create_model(layout, __base__=Strict, **fields)
