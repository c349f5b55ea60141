"""What files show, by the words in their names and by their pixels: images, masks, fields of view.

A photograph of a retina is a bright disc on black. Some data sets have a mask of that disc, the
field of view, beside the annotation of each image, and both pair up with the images by their names.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import combinations
from typing import Any

import numpy as np
import scipy
import skimage as ski
from numpy.typing import NDArray

from unetflow.annotations.layouts.find_pairs import LayoutOptions
from unetflow.annotations.layouts.folders import escape_pattern, find_folder_pairs, find_keys
from unetflow.annotations.records import folder_prefix
from unetflow.core.errors import InputError
from unetflow.io.file_listing import FileListing
from unetflow.io.files import File
from unetflow.io.formats.readers import read_image, read_mask
from unetflow.io.formats.tiff import count_pages
from unetflow.io.image_hash import perceptual_hash

_MASK_WORDS = re.compile(
    r"(?<!un)(mask|label|anno|segm)|truth|semantic|manual|instance|silhouette|trimap"
    r"|(?<![a-z])(gt|lab|seg|target|(1st|2nd) ?ho)s?(?![a-z])"
)
_IMAGE_WORDS = re.compile(
    r"image|photo|picture|original|input|tissue|(?<![a-z])(img|jpe?g|raw)s?(?![a-z])"
)
_PREVIEW_WORDS = re.compile(r"overlay|preview|thumb|visuali")
_MAX_PIXELS = 50_000_000
_ENOUGH_PIXELS, _ENOUGH_FIELD_PIXELS = 2**16, 2**18
_FEW_VALUES, _MIN_FRACTION_OF_FEW = 32, 0.95
_MIN_FRACTION_OF_EQUAL = 0.75
_MAX_HASH_DISTANCE = 2  # bits

_MIN_IMAGES = 3  # whose fields of view are opened: a few may be alike by chance
_MIN_COVERED = 0.4  # of the image by the field of view
_MAX_STRAY = 0.01  # of its pixels in specks or holes, and of an annotation's outside of it
_MIN_IOU = 0.9  # of the fields of view of two images
_MAX_ANNOTATED = 0.5  # of the field of view
_DARKEST, _BRIGHTEST = 5, 95  # percentiles of grey values: nearly all

Masks = dict[File, File]
"""The mask of each image."""
Inside = NDArray[np.bool_]


class ContentKind(IntEnum):
    """What the pixels of files look like.

    An image is noisy and has many values. A mask has few values, in areas of equal pixels. With
    only one of both it may be a mask of many objects, one that JPEG has changed, or a dark image.
    """

    IMAGE = 0
    UNCLEAR = 1
    MASK = 2


def find_mask_sides(
    names: Sequence[str], kinds: Sequence[ContentKind | None]
) -> tuple[tuple[int, ...], bool]:
    """Return which of two sides may hold the masks, 0 and 1, and whether words or pixels say so.

    Words in the difference between the names decide before pixels do. Where the two contradict
    each other, or neither is clear, both sides are possible.
    """
    if any(_has_word(_PREVIEW_WORDS, name) for name in names):
        return (), False
    is_mask = [has_mask_word(name) for name in names]
    if is_mask[0] != is_mask[1]:
        side, unlike_image = is_mask.index(True), (ContentKind.UNCLEAR, ContentKind.MASK)
        contradicted = kinds[side] == ContentKind.IMAGE and kinds[1 - side] in unlike_image
    elif {*kinds} == {ContentKind.IMAGE, ContentKind.MASK}:
        side = kinds.index(ContentKind.MASK)
        contradicted = not is_mask[side] and has_image_word(names[side])
    else:
        unclear = None not in kinds and {*kinds} != {ContentKind.IMAGE} and not any(is_mask)
        return ((0, 1) if unclear else ()), False
    return ((0, 1) if contradicted else (side,)), True


def has_mask_word(name: str) -> bool:
    """Return whether a name contains a word for masks."""
    return _has_word(_MASK_WORDS, name)


def has_image_word(name: str) -> bool:
    """Return whether a name contains a word for images."""
    return _has_word(_IMAGE_WORDS, name)


def _has_word(words: re.Pattern[str], name: str) -> bool:
    """Search for words in a name in lower case, with a space before each capital inside a word."""
    return bool(words.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()))


def detect_content_kind(files: Sequence[File]) -> ContentKind | None:
    """Return the kind of the first, middle and last file; None if unread, or images and masks."""
    places = {0, len(files) // 2, len(files) - 1}
    kinds = {_detect_kind(files[place]) for place in places} - {None}
    if not kinds or kinds >= {ContentKind.IMAGE, ContentKind.MASK}:
        return None
    return kinds.pop() if len(kinds) == 1 else ContentKind.UNCLEAR


def _detect_kind(file: File) -> ContentKind | None:
    """Return the kind of a file's pixels; None if it cannot be read."""
    try:
        image = read_image(file, _MAX_PIXELS, page=0 if is_multipage_tiff(file) else None)
    except InputError:
        return None
    rows = image[:: max(1, image.shape[0] * image.shape[1] // _ENOUGH_PIXELS)]
    counts = np.unique(rows.reshape(-1, rows.shape[2]), axis=0, return_counts=True)[1]
    most_frequent = np.sort(counts)[-_FEW_VALUES:].sum()
    has_few_values = most_frequent >= _MIN_FRACTION_OF_FEW * counts.sum()
    equal = np.all(rows[:, 1:] == rows[:, :-1], axis=2)
    is_in_areas = equal.size > 0 and equal.mean() >= _MIN_FRACTION_OF_EQUAL
    if len(counts) <= _FEW_VALUES and is_in_areas:
        return ContentKind.MASK
    return ContentKind.UNCLEAR if has_few_values or is_in_areas else ContentKind.IMAGE


def is_same_image(one: File, other: File) -> bool:
    """Return whether two files show the same, perhaps at another size or in another format."""
    try:
        hashes = [int(perceptual_hash(read_image(file, _MAX_PIXELS)), 16) for file in (one, other)]
    except InputError:
        return False
    return all(hashes) and (hashes[0] ^ hashes[1]).bit_count() <= _MAX_HASH_DISTANCE


def is_multipage_tiff(file: File) -> bool:
    """Return whether a file is a TIFF file of several pages."""
    try:
        return file.suffix.lower() in (".tif", ".tiff") and count_pages(file) > 1
    except InputError:
        return False


def use_fields_of_view(listing: FileListing, found: list[LayoutOptions]) -> list[LayoutOptions]:
    """Turn layouts whose masks are fields of view into regions of the other layouts.

    Of several layouts `folders` with the same images, exactly one must be the field of view by
    all criteria of `_is_field_of_view`. Where that is uncertain, nothing changes.
    """
    rivals: dict[frozenset[File], dict[int, Masks]] = defaultdict(dict)
    for number, (layout, options) in enumerate(found):
        if layout == "folders":
            pairs = find_folder_pairs(listing, **options).pairs
            masks_of = {pair.image.file: pair.annotation.files[0] for pair in pairs}
            rivals[frozenset(masks_of)][number] = masks_of
    results: list[LayoutOptions | None] = list(found)
    for masks in (masks for masks in rivals.values() if len(masks) > 1):
        fields = [
            n
            for n in masks
            if _is_field_of_view(masks[n], [masks[other] for other in masks if other != n])
        ]
        if len(fields) != 1:
            continue
        inside = masks.pop(fields[0])
        regions = found[fields[0]][1]["masks"]
        joined = {
            n: _add_regions(listing, found[n][1], regions, others, inside)
            for n, others in masks.items()
        }
        if all(joined.values()):
            results[fields[0]] = None
            for number, with_regions in joined.items():
                results[number] = ("folders", with_regions or {})
    return [each for each in results if each is not None]


def _is_field_of_view(masks: Masks, others: list[Masks]) -> bool:
    """Return whether masks are fields of view, judging by three of them.

    Each must hold two values, 0 outside of a single filled region that covers much of its image;
    they must be nearly alike, the images darker outside, and the other masks inside and smaller.
    """
    if len(masks) < _MIN_IMAGES:
        return False
    images = list(masks)
    images = [images[place] for place in (0, len(images) // 2, len(images) - 1)]
    try:
        fields = [_subsample(read_mask(masks[image], _MAX_PIXELS)) for image in images]
        insides = [field > 0 for field in fields]
        return (
            all(len(np.unique(field)) == 2 for field in fields)
            and all(map(_is_one_region, insides))
            and len({inside.shape for inside in insides}) == 1
            and all((a & b).sum() >= _MIN_IOU * (a | b).sum() for a, b in combinations(insides, 2))
            and all(
                _is_dark_outside(image, inside)
                and all(_lies_inside(other[image], inside) for other in others)
                for image, inside in zip(images, insides, strict=True)
            )
        )
    except InputError:
        return False


def _subsample(pixels: NDArray[Any]) -> NDArray[Any]:
    """Skip rows and columns of a large image, the same ones in all files of one size."""
    step = int(np.ceil(np.sqrt(pixels.shape[0] * pixels.shape[1] / _ENOUGH_FIELD_PIXELS)))
    return pixels[::step, ::step]


def _is_one_region(inside: Inside) -> bool:
    """Return whether pixels are one filled region, except for specks, of much of the image."""
    area = int(inside.sum())
    if not _MIN_COVERED * inside.size <= area < inside.size:
        return False
    largest = np.bincount(ski.measure.label(inside, connectivity=2).ravel())[1:].max()
    holes = int(scipy.ndimage.binary_fill_holes(inside).sum()) - area
    return bool(area - largest + holes <= _MAX_STRAY * area)


def _is_dark_outside(image: File, inside: Inside) -> bool:
    """Return whether nearly all pixels outside are darker than nearly all inside."""
    grey = _subsample(read_image(image, _MAX_PIXELS)).mean(axis=2)
    if grey.shape != inside.shape:
        return False
    outside = np.percentile(grey[~inside], _BRIGHTEST)
    return bool(outside < np.percentile(grey[inside], _DARKEST))


def _lies_inside(mask: File, inside: Inside) -> bool:
    """Return whether an annotation lies in the field of view and leaves much of it free."""
    annotated = _subsample(read_mask(mask, _MAX_PIXELS)) != 0
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
    pattern, places = options.get("image_pattern"), (options["masks"], regions)
    keys = find_keys(listing, options["images"], pattern, "image_pattern", places)
    path_of = {file: name for name, file in listing.files.items()}
    around = set()
    for image, key in keys.items():
        field = fields.get(listing.files[image])
        if field is not None and key is not None:
            path = path_of[field].removeprefix(folder_prefix(regions))
            name = path if "/" in key else path.rpartition("/")[2]
            around.add(tuple(name.split(key, 1)) if key and key in name else None)
    if len(around) == 1 and (shared := around.pop()) is not None:
        start, end = map(escape_pattern, shared)
        yield f"^{start}(.+){end}$"
