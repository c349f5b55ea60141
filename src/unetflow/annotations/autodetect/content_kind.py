"""Whether files look like masks: by the words in their names, and by their pixels."""

import re
from enum import IntEnum

import numpy as np

from unetflow.core.errors import InputError
from unetflow.io.files import File
from unetflow.io.formats.registry import read_image
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
_MOST_PIXELS = 50_000_000
_ENOUGH_PIXELS = 2**16
_FEW_VALUES, _SHARE_OF_FEW = 32, 0.95
_SHARE_OF_EQUAL = 0.75
_SAME_PICTURE = 2  # bits of the hashes

Sides = tuple[tuple[int, ...], bool]
"""The sides that may hold the masks, 0 or 1, and whether something speaks for it."""


class ContentKind(IntEnum):
    """What the pixels of files say.

    An image is noisy and has many values. A mask has few, in areas of equal pixels. What has one
    of both may be a mask with many objects or one that JPEG has changed, or else a dark image.
    """

    IMAGE = 0
    UNCLEAR = 1
    MASK = 2


def find_mask_sides(
    names: tuple[str, str], looks: tuple[ContentKind | None, ContentKind | None]
) -> Sides:
    """Tell which of two sides may hold the masks.

    Words decide before pixels do. Where the two contradict each other, or neither is clear, both
    sides may be it.

    Args:
        names: In what the names of the two sides differ.
        looks: What `detect_content_kind` returns for them.

    Returns:
        0 for the first side and 1 for the second one, one of them, both or none; and whether
        something speaks for it.
    """
    texts = [_spell_out(name) for name in names]
    if any(_PREVIEW_WORDS.search(text) for text in texts):
        return (), False
    words = [bool(_MASK_WORDS.search(text)) for text in texts]
    if words[0] != words[1]:
        side = words.index(True)
        contradicted = looks[side] == ContentKind.IMAGE and looks[1 - side] in (
            ContentKind.UNCLEAR,
            ContentKind.MASK,
        )
        return ((0, 1) if contradicted else (side,)), True
    if {*looks} == {ContentKind.IMAGE, ContentKind.MASK}:
        side = looks.index(ContentKind.MASK)
        contradicted = not words[side] and bool(_IMAGE_WORDS.search(texts[side]))
        return ((0, 1) if contradicted else (side,)), True
    unclear = None not in looks and {*looks} != {ContentKind.IMAGE} and not any(words)
    return ((0, 1) if unclear else ()), False


def has_mask_word(name: str) -> bool:
    """Tell whether a name has a word for masks in it."""
    return bool(_MASK_WORDS.search(_spell_out(name)))


def has_image_word(name: str) -> bool:
    """Tell whether a name has a word for images in it."""
    return bool(_IMAGE_WORDS.search(_spell_out(name)))


def detect_content_kind(files: list[File]) -> ContentKind | None:
    """Return what the first, the middle and the last image look like.

    Returns:
        None if some look like images and some like masks, or if none can be read.
    """
    places = {0, len(files) // 2, len(files) - 1}
    looks = {_look_at(files[place]) for place in places} - {None}
    if not looks or looks >= {ContentKind.IMAGE, ContentKind.MASK}:
        return None
    return looks.pop() if len(looks) == 1 else ContentKind.UNCLEAR


def is_same_image(one: File, other: File) -> bool:
    """Tell whether two images show the same, perhaps at another size or in another format."""
    try:
        hashes = [int(perceptual_hash(read_image(file, _MOST_PIXELS)), 16) for file in (one, other)]
    except InputError:
        return False
    return all(hashes) and (hashes[0] ^ hashes[1]).bit_count() <= _SAME_PICTURE


def is_multipage_tiff(file: File) -> bool:
    """Tell whether a file is a TIFF file of several pages."""
    if file.suffix.lower() not in (".tif", ".tiff"):
        return False
    try:
        return count_pages(file) > 1
    except InputError:
        return False


def _spell_out(name: str) -> str:
    """Return a name in small letters, with a space where it has a capital inside."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


def _look_at(file: File) -> ContentKind | None:
    try:
        image = read_image(file, _MOST_PIXELS, page=0 if is_multipage_tiff(file) else None)
    except InputError:
        return None
    rows = image[:: max(1, image.shape[0] * image.shape[1] // _ENOUGH_PIXELS)]
    counts = np.unique(rows.reshape(-1, rows.shape[2]), axis=0, return_counts=True)[1]
    few = np.sort(counts)[-_FEW_VALUES:].sum() >= _SHARE_OF_FEW * counts.sum()
    equal = np.all(rows[:, 1:] == rows[:, :-1], axis=2)
    in_areas = equal.size > 0 and equal.mean() >= _SHARE_OF_EQUAL
    if len(counts) <= _FEW_VALUES and in_areas:
        return ContentKind.MASK
    return ContentKind.UNCLEAR if few or in_areas else ContentKind.IMAGE
