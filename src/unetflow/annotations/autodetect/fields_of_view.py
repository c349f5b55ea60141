"""Detection of masks that show the field of view of a camera rather than an annotation.

A photograph of a retina is a bright disc on black. Some data sets have a mask of that disc beside
the annotation of each image, and both pair up with the images by their names.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from skimage.measure import label as connected_components

from unetflow.annotations.autodetect.name_patterns import escape_pattern
from unetflow.annotations.layouts.folders import find_folder_pairs, group_by_key
from unetflow.annotations.layouts.registry import LayoutOptions
from unetflow.annotations.paths import folder_prefix
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.readers import read_image, read_mask

_MIN_IMAGES = 3
"""Images that are opened, and how many there must be: a few may be alike by chance."""
_MAX_PIXELS, _ENOUGH_PIXELS = 50_000_000, 2**18
_MIN_COVERED = 0.4  # of the image by the field of view
_MAX_STRAY = 0.01  # of its pixels in specks or holes, and of an annotation's outside of it
_MIN_IOU = 0.9  # of the fields of view of two images
_MAX_ANNOTATED = 0.5  # of the field of view
_DARKEST, _BRIGHTEST = 5, 95  # percentiles of grey values: nearly all

Masks = dict[File, File]
"""The mask of each image."""
Inside = NDArray[np.bool_]


def use_fields_of_view_as_regions(
    listing: FileListing, found: Sequence[LayoutOptions]
) -> list[LayoutOptions]:
    """Turn layouts whose masks are fields of view into regions of the other layouts.

    Of several layouts `folders` with the same images, exactly one must be the field of view by
    all criteria of `_is_field_of_view`. Where that is uncertain, nothing changes.

    Args:
        listing: The files.
        found: Layouts and options.
    """
    results: list[LayoutOptions | None] = list(found)
    for masks in _list_rivals(listing, found):
        fields = [
            n
            for n in masks
            if _is_field_of_view(masks[n], [masks[other] for other in masks if other != n])
        ]
        if len(fields) != 1:
            continue
        (field,) = fields
        regions = found[field][1]["masks"]
        joined = {
            n: _add_regions(listing, found[n][1], regions, others, masks[field])
            for n, others in masks.items()
            if n != field
        }
        if all(joined.values()):
            results[field] = None
            for number, options in joined.items():
                results[number] = ("folders", options or {})
    return [each for each in results if each is not None]


def _list_rivals(
    listing: FileListing, found: Sequence[LayoutOptions]
) -> Iterator[dict[int, Masks]]:
    """Yield layouts that pair the same images with several masks: these masks by number."""
    rivals: dict[frozenset[File], dict[int, Masks]] = defaultdict(dict)
    for number, (layout, options) in enumerate(found):
        if layout == "folders":
            pairs = find_folder_pairs(listing, **options).pairs
            masks = {pair.image.file: pair.annotation.files[0] for pair in pairs}
            rivals[frozenset(masks)][number] = masks
    yield from (masks for masks in rivals.values() if len(masks) > 1)


def _is_field_of_view(masks: Masks, others: list[Masks]) -> bool:
    """Return whether masks are fields of view, judging by three of them.

    Each one must be a single filled region that covers much of its image, and hold two values, 0
    outside; they must be nearly alike; the image must be darker outside; and the other masks must
    lie inside and cover less.
    """
    if len(masks) < _MIN_IMAGES:
        return False
    images = list(masks)
    images = [images[place] for place in (0, len(images) // 2, len(images) - 1)]
    try:
        fields = [_read(masks[image]) for image in images]
        return (
            all(len(np.unique(field)) == 2 and _is_one_region(field > 0) for field in fields)
            and all(_are_alike(one > 0, other > 0) for one, other in combinations(fields, 2))
            and all(
                _is_dark_outside(image, field > 0)
                and all(_lies_inside(_read(other[image]) != 0, field > 0) for other in others)
                for image, field in zip(images, fields, strict=True)
            )
        )
    except InputError:
        return False


def _read(file: File) -> NDArray[np.integer]:
    return _subsample(read_mask(file, _MAX_PIXELS))


def _subsample(pixels: NDArray[Any]) -> NDArray[Any]:
    """Skip rows and columns of a large image, the same ones in all files of one size."""
    step = int(np.ceil(np.sqrt(pixels.shape[0] * pixels.shape[1] / _ENOUGH_PIXELS)))
    return pixels[::step, ::step]


def _is_one_region(inside: Inside) -> bool:
    """Return whether pixels are one filled region, except for specks, of much of the image."""
    area = int(inside.sum())
    if not _MIN_COVERED * inside.size <= area < inside.size:
        return False
    largest = np.bincount(connected_components(inside, connectivity=2).ravel())[1:].max()
    holes = int(binary_fill_holes(inside).sum()) - area
    return bool(area - largest + holes <= _MAX_STRAY * area)


def _are_alike(one: Inside, other: Inside) -> bool:
    return one.shape == other.shape and bool(np.sum(one & other) >= _MIN_IOU * np.sum(one | other))


def _is_dark_outside(image: File, inside: Inside) -> bool:
    """Return whether nearly all pixels outside are darker than nearly all inside."""
    grey = _subsample(read_image(image, _MAX_PIXELS)).mean(axis=2)
    if grey.shape != inside.shape:
        return False
    outside = np.percentile(grey[~inside], _BRIGHTEST)
    return bool(outside < np.percentile(grey[inside], _DARKEST))


def _lies_inside(annotated: Inside, inside: Inside) -> bool:
    """Return whether an annotation lies in the field of view and leaves much of it free."""
    if annotated.shape != inside.shape:
        return False
    area, stray = int(annotated.sum()), int(np.sum(annotated & ~inside))
    return stray <= _MAX_STRAY * area and 0 < area <= _MAX_ANNOTATED * inside.sum()


def _add_regions(
    listing: FileListing, options: dict[str, Any], regions: str, masks: Masks, fields: Masks
) -> dict[str, Any] | None:
    """Return options with the fields of view as regions; None if no pattern pairs them."""
    expected = {image: (mask, fields[image]) for image, mask in masks.items()}
    for pattern in _propose_patterns(listing, options, regions, fields):
        joined = options | {"regions": regions} | ({"region_pattern": pattern} if pattern else {})
        try:
            pairs = find_folder_pairs(listing, **joined).pairs
        except InputError:
            continue
        if expected == {p.image.file: (p.annotation.files[0], p.region) for p in pairs}:
            return joined
    return None


def _propose_patterns(
    listing: FileListing, options: dict[str, Any], regions: str, fields: Masks
) -> Iterator[str | None]:
    """Yield patterns whose group may capture in a region's name the key of its image and mask."""
    yield None
    pattern = options.get("image_pattern")
    keys, _ = group_by_key(
        listing, options["images"], pattern, "image_pattern", (options["masks"], regions)
    )
    path_of = {file: name for name, file in listing.files.items()}
    around = set()
    for key, names in keys.items():
        field = fields.get(listing.files[names[0]])
        if field is not None:
            path = path_of[field].removeprefix(folder_prefix(regions))
            name = path if "/" in key else path.rpartition("/")[2]
            around.add(tuple(name.split(key, 1)) if key and key in name else None)
    if len(around) == 1 and (shared := around.pop()) is not None:
        start, end = map(escape_pattern, shared)
        yield f"^{start}(.+){end}$"
