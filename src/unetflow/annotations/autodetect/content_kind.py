"""Whether files are images or masks, by the words in their names and by their pixels."""

import re
from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from unetflow.core.errors import InputError
from unetflow.io.files import File
from unetflow.io.formats.readers import read_image
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
_ENOUGH_PIXELS = 2**16
_FEW_VALUES, _MIN_FRACTION_OF_FEW = 32, 0.95
_MIN_FRACTION_OF_EQUAL = 0.75
_MAX_HASH_DISTANCE = 2  # bits


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
    """Return which of two sides may hold the masks.

    Words decide before pixels do. Where the two contradict each other, or neither is clear, both
    sides are possible.

    Args:
        names: The difference between the names of the two sides.
        kinds: What `detect_content_kind` returns for them.

    Returns:
        The possible sides, 0 and 1, and whether words or pixels support them.
    """
    texts = [_separate_words(name) for name in names]
    if any(_PREVIEW_WORDS.search(text) for text in texts):
        return (), False
    is_mask = [bool(_MASK_WORDS.search(text)) for text in texts]
    if is_mask[0] != is_mask[1]:
        side = is_mask.index(True)
        contradicted = kinds[side] == ContentKind.IMAGE and kinds[1 - side] in (
            ContentKind.UNCLEAR,
            ContentKind.MASK,
        )
        return ((0, 1) if contradicted else (side,)), True
    if {*kinds} == {ContentKind.IMAGE, ContentKind.MASK}:
        side = kinds.index(ContentKind.MASK)
        contradicted = not is_mask[side] and bool(_IMAGE_WORDS.search(texts[side]))
        return ((0, 1) if contradicted else (side,)), True
    unclear = None not in kinds and {*kinds} != {ContentKind.IMAGE} and not any(is_mask)
    return ((0, 1) if unclear else ()), False


def has_mask_word(name: str) -> bool:
    """Return whether a name contains a word for masks."""
    return bool(_MASK_WORDS.search(_separate_words(name)))


def has_image_word(name: str) -> bool:
    """Return whether a name contains a word for images."""
    return bool(_IMAGE_WORDS.search(_separate_words(name)))


def detect_content_kind(files: Sequence[File]) -> ContentKind | None:
    """Return the kind of the first, the middle and the last file.

    Returns:
        None if some look like images and some like masks, or if none can be read.
    """
    places = {0, len(files) // 2, len(files) - 1}
    kinds = {_detect_kind(files[place]) for place in places} - {None}
    if not kinds or kinds >= {ContentKind.IMAGE, ContentKind.MASK}:
        return None
    return kinds.pop() if len(kinds) == 1 else ContentKind.UNCLEAR


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


def _separate_words(name: str) -> str:
    """Return a name in lower case, with a space before each capital inside a word."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


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
