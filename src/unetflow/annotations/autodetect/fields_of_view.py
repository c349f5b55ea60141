"""Masks that annotate nothing, but say where the picture is: the field of view of a camera.

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
from unetflow.annotations.paths import folder_prefix
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.registry import read_image, read_mask

_LOOKED_AT = 3
"""Images that are opened, and how many there must be: a few may be alike by chance."""
_MOST_PIXELS, _ENOUGH_PIXELS = 50_000_000, 2**18
_LEAST_COVERED = 0.4  # of the image by the field of view
_MOST_STRAY = 0.01  # of its pixels in specks or holes, and of an annotation's outside of it
_LEAST_ALIKE = 0.9  # intersection over union of two images' fields of view
_MOST_ANNOTATED = 0.5  # of the field of view
_DARKEST, _BRIGHTEST = 5, 95  # percentiles of grey values: nearly all

Found = tuple[str, dict[str, Any]]
Masks = dict[File, File]
"""The mask of each image."""
Inside = NDArray[np.bool_]


def use_fields_of_view_as_regions(listing: FileListing, found: Sequence[Found]) -> list[Found]:
    """Give annotations the masks as regions that are fields of view.

    Of several layouts `folders` with the same images, one has to be the field of view and none of
    the others, by all that `_is_field_of_view` looks at. Where that is not sure, nothing changes.

    Args:
        listing: The files.
        found: Layouts and options that make pairs.

    Returns:
        The same, without those whose masks have become the others' regions.
    """
    offered: list[Found | None] = list(found)
    for numbers, masks in _list_rivals(listing, found):
        fields = [n for n in numbers if _is_field_of_view(masks[n], _without(masks, n))]
        if len(fields) != 1:
            continue
        field = found[fields[0]][1]["masks"]
        joined = {
            n: _join(listing, found[n][1], field, masks[n], masks[fields[0]])
            for n in numbers
            if n != fields[0]
        }
        if all(joined.values()):
            offered[fields[0]] = None
            for number, options in joined.items():
                offered[number] = ("folders", options or {})
    return [each for each in offered if each is not None]


def _list_rivals(
    listing: FileListing, found: Sequence[Found]
) -> Iterator[tuple[list[int], dict[int, Masks]]]:
    """Yield the numbers of what pairs the same images with several masks, and these masks."""
    masks: dict[int, Masks] = {}
    rivals: dict[frozenset[File], list[int]] = defaultdict(list)
    for number, (layout, options) in enumerate(found):
        if layout == "folders":
            masks[number] = _pair(listing, options)
            rivals[frozenset(masks[number])].append(number)
    for numbers in rivals.values():
        if len(numbers) > 1:
            yield numbers, {number: masks[number] for number in numbers}


def _pair(listing: FileListing, options: dict[str, Any]) -> Masks:
    pairs = find_folder_pairs(listing, **options).pairs
    return {pair.image.file: pair.annotation.files[0] for pair in pairs}


def _without(masks: dict[int, Masks], number: int) -> list[Masks]:
    return [others for other, others in masks.items() if other != number]


def _is_field_of_view(masks: Masks, others: list[Masks]) -> bool:
    """Tell whether masks are fields of view, looking at a few of them.

    Each one must be a single filled region that covers much of its image, and hold two values, 0
    outside; they must be nearly alike; the image must be darker outside; and the other masks must
    lie inside and cover less.
    """
    images = list(masks)
    if len(images) < _LOOKED_AT:
        return False
    places = (0, len(images) // 2, len(images) - 1)
    try:
        fields = [_read(masks[images[place]]) for place in places]
        if not all(len(np.unique(field)) == 2 and _is_one_region(field > 0) for field in fields):
            return False
        if not all(_are_alike(one > 0, other > 0) for one, other in combinations(fields, 2)):
            return False
        return all(
            _is_dark_outside(images[place], field > 0)
            and all(_lies_inside(_read(other[images[place]]) != 0, field > 0) for other in others)
            for place, field in zip(places, fields, strict=True)
        )
    except InputError:
        return False


def _read(file: File) -> NDArray[np.integer]:
    return _thin_out(read_mask(file, _MOST_PIXELS))


def _thin_out(pixels: NDArray[Any]) -> NDArray[Any]:
    """Leave out rows and columns of a large image; all files of an image lose the same ones."""
    step = int(np.ceil(np.sqrt(pixels.shape[0] * pixels.shape[1] / _ENOUGH_PIXELS)))
    return pixels[::step, ::step]


def _is_one_region(inside: Inside) -> bool:
    """Tell whether pixels are one filled region but for specks, and cover much of the image."""
    area = int(inside.sum())
    if not _LEAST_COVERED * inside.size <= area < inside.size:
        return False
    largest = np.bincount(connected_components(inside, connectivity=2).ravel())[1:].max()
    holes = int(binary_fill_holes(inside).sum()) - area
    return bool(area - largest + holes <= _MOST_STRAY * area)


def _are_alike(one: Inside, other: Inside) -> bool:
    return one.shape == other.shape and bool(
        np.sum(one & other) >= _LEAST_ALIKE * np.sum(one | other)
    )


def _is_dark_outside(image: File, inside: Inside) -> bool:
    """Tell whether nearly all of an image outside is darker than nearly all inside."""
    grey = _thin_out(read_image(image, _MOST_PIXELS)).mean(axis=2)
    if grey.shape != inside.shape:
        return False
    outside = np.percentile(grey[~inside], _BRIGHTEST)
    return bool(outside < np.percentile(grey[inside], _DARKEST))


def _lies_inside(annotated: Inside, inside: Inside) -> bool:
    """Tell whether an annotation lies in the field of view, and leaves much of it free."""
    if annotated.shape != inside.shape:
        return False
    area, stray = int(annotated.sum()), int(np.sum(annotated & ~inside))
    return stray <= _MOST_STRAY * area and 0 < area <= _MOST_ANNOTATED * inside.sum()


def _join(
    listing: FileListing, options: dict[str, Any], regions: str, masks: Masks, fields: Masks
) -> dict[str, Any] | None:
    """Return options with the fields of view as regions, or None where no pattern does it."""
    for pattern in _region_patterns(listing, options, regions, fields):
        joined = options | {"regions": regions} | ({"region_pattern": pattern} if pattern else {})
        try:
            pairs = find_folder_pairs(listing, **joined).pairs
        except InputError:
            continue
        made = {pair.image.file: (pair.annotation.files[0], pair.region) for pair in pairs}
        if made == {image: (mask, fields[image]) for image, mask in masks.items()}:
            return joined
    return None


def _region_patterns(
    listing: FileListing, options: dict[str, Any], regions: str, fields: Masks
) -> Iterator[str | None]:
    """Yield patterns whose group may hold in a region's name what pairs image and mask."""
    yield None
    pattern = options.get("image_pattern")
    keys, _ = group_by_key(
        listing, options["images"], pattern, "image_pattern", (options["masks"], regions)
    )
    path_of = {str(file): name for name, file in listing.files.items()}
    around = set()
    for key, names in keys.items():
        field = fields.get(listing.files[names[0]])
        if field is not None:
            below = path_of[str(field)].removeprefix(folder_prefix(regions))
            name = below if "/" in key else below.rpartition("/")[2]
            start, _, end = name.partition(key) if key else (name, "", "")
            around.add((start, end) if key and key in name else None)
    if len(around) == 1 and (shared := around.pop()) is not None:
        start, end = map(escape_pattern, shared)
        yield f"^{start}(.+){end}$"
