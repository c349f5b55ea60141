"""Recognition of masks whose values number the objects, as StarDist and Cellpose write them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import skimage as ski
from numpy.typing import NDArray

from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.raster import MIN_OF_LARGEST, InstanceMask, MixedMask, SemanticMask
from unetflow.annotations.records import Pair, Pairing
from unetflow.core.errors import InputError
from unetflow.io.formats.readers import read_mask

_MAX_OPENED = 12  # masks, evenly spaced over the data set
_ENOUGH_PIXELS = 2**22  # of a mask; of a larger one, rows in its middle are looked at
_MIN_DENSITY = 0.8  # of the numbers between the smallest and the largest that occur
_MIN_WHOLE = 0.9  # of the values that are one piece, which others may cut
_MAX_RIM = 0.5  # of an object's pixels that lie next to another object
_FEW, _SEVERAL, _MANY = 3, 8, 32  # values in one mask

_PIN = "    ingestion:\n      masks:\n        instances: {}"
RECOGNISED = (
    "the values of the masks number the objects (up to {most} in the {opened} masks that were "
    "opened), and their numbers are kept:\n" + _PIN.format("{kept}")
)
MIXED = (
    "the values of {numbered} of {masks} masks number the objects, and their numbers are kept. The "
    "others hold one value for all objects, which are not numbered:\n" + _PIN.format("mixed")
)
UNCERTAIN = (
    "the values of the masks (up to {most} in the {opened} masks that were opened) may number the "
    "objects. They are read as one class, without numbers. Write `{kept}` to keep the numbers, or "
    "`false` if the values mean something else:\n" + _PIN.format("{kept}")
)


@dataclass(frozen=True)
class ValuePieces:
    """What the values of one mask look like, without those of the background and ignored ones.

    Attributes:
        values: Number of different values.
        span: Number of whole numbers from the smallest to the largest.
        whole: Number of values whose pixels are one connected piece, or nearly. Values whose pixels
            lie mostly next to other values, as gradations of grey do, do not count.
    """

    values: int
    span: int
    whole: int


def number_objects(
    pairing: Pairing,
    class_map: ClassMap,
    instances: bool | Literal["mixed"] | None,
    max_pixels: int,
) -> tuple[Pairing, str]:
    """Read masks as numbered objects where they are.

    Where they are recognised, and one of the masks that were opened holds one value for several
    pieces, others may do so, too; see `MixedMask`.

    Args:
        pairing: Images and annotations; only those in mask files are looked at.
        class_map: Meaning of the masks' values; what it declares is no number of an object.
        instances: Whether the values number objects, "mixed" those of some masks; None recognises
            it.
        max_pixels: Limit of a mask's width times height.

    Returns:
        The pairing, and what was recognised with the parameters that pin it; "" where nothing was.
    """
    masks = [pair.annotation for pair in pairing.pairs if isinstance(pair.annotation, SemanticMask)]
    message = ""
    if instances is None and masks and _may_hold_numbers(class_map):
        found = _look_at(masks, class_map, max_pixels)
        is_sure, message = judge_values(found)
        instances = is_sure and _keep_numbers(found)
    if not instances or not masks:
        return pairing, message
    kind = MixedMask if instances == "mixed" else InstanceMask
    pairs = [_with_numbers(pair, kind) for pair in pairing.pairs]
    return replace(pairing, pairs=pairs), message


def judge_values(found: Sequence[ValuePieces]) -> tuple[bool, str]:
    """Return whether the values of a data set's masks number objects, and what to say about it.

    They do where nearly all whole numbers between the smallest and the largest occur, where nearly
    each is one piece, and where there are many. A few values in each of the masks, always as many,
    may be classes that occur once in an image, such as organs.
    """
    several = [one for one in found if one.values > 1]
    total, most = sum(one.values for one in several), max((o.values for o in found), default=0)
    if (
        most < _FEW
        or total < _MIN_DENSITY * sum(one.span for one in several)
        or sum(one.whole for one in several) < _MIN_WHOLE * total
    ):
        return False, ""
    varies = len({one.values for one in found}) > 1
    is_sure = most >= _MANY or (most >= _SEVERAL and varies)
    kept = str(_keep_numbers(found)).lower()
    message = RECOGNISED if is_sure else UNCERTAIN
    return is_sure, message.format(most=most, opened=len(found), kept=kept)


def measure_values(mask: NDArray[np.integer], class_map: ClassMap) -> ValuePieces:
    """Measure the values of a mask `(height, width)` that no class but `rest` declares."""
    declared = [value for value in class_map.indices if isinstance(value, int)]
    rows = max(1, mask.shape[0] * _ENOUGH_PIXELS // max(mask.size, _ENOUGH_PIXELS))
    first = (mask.shape[0] - rows) // 2
    values, places = np.unique(mask[first : first + rows], return_inverse=True)
    is_object = ~np.isin(values, [0, *declared])
    if not is_object.any():
        return ValuePieces(0, 0, 0)
    objects = values[is_object].astype(np.int64)
    ranks = np.where(is_object, np.cumsum(is_object), 0)[places.reshape(rows, -1)]
    areas = np.bincount(ranks.ravel())
    pieces = ski.measure.label(ranks, background=0, connectivity=2)
    sizes, owners = np.bincount(pieces.ravel()), np.zeros(int(pieces.max()) + 1, np.int64)
    owners[pieces.ravel()] = ranks.ravel()
    largest = np.zeros_like(areas)
    np.maximum.at(largest, owners, sizes)
    rims = np.bincount(ranks[_next_to_others(ranks)], minlength=len(areas))
    is_whole = (largest >= MIN_OF_LARGEST * areas) & (rims <= _MAX_RIM * areas)
    span = int(objects[-1] - objects[0]) + 1
    return ValuePieces(len(objects), span, int(np.count_nonzero(is_whole[1:])))


def _keep_numbers(found: Sequence[ValuePieces]) -> Literal[True, "mixed"]:
    """Return the value of the parameter that keeps numbers; "mixed" beside one value in pieces."""
    return "mixed" if any(one.values == 1 and not one.whole for one in found) else True


def _may_hold_numbers(class_map: ClassMap) -> bool:
    """Return whether all values without a declaration are of the only class of objects."""
    is_plain = class_map.binarise_at is None and not class_map.in_colour
    return is_plain and len(class_map.classes) == 2 and class_map.rest == 1


def _look_at(
    masks: Sequence[SemanticMask], class_map: ClassMap, max_pixels: int
) -> list[ValuePieces]:
    """Measure some of the masks; those that cannot be read are reported when they are drawn."""
    places = np.unique(np.linspace(0, len(masks) - 1, _MAX_OPENED).round().astype(int))
    found = []
    for source in (masks[place].mask for place in places):
        try:
            mask = read_mask(source.file, max_pixels, source.page)
        except (InputError, OSError):
            continue
        found.append(measure_values(mask, class_map))
    return found


def _next_to_others(ranks: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the pixels of objects that share an edge with a pixel of another object."""
    found = np.zeros(ranks.shape, bool)
    for one, other in (
        ((slice(1, None), slice(None)), (slice(-1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(-1))),
    ):
        differ = (ranks[one] != ranks[other]) & (ranks[one] > 0) & (ranks[other] > 0)
        found[one] |= differ
        found[other] |= differ
    return found


def describe_mix(numbered: Sequence[bool]) -> str:
    """Say how many masks number their objects, with the parameter that pins it; "" for all.

    Args:
        numbered: Whether each mask that may do so does.
    """
    if all(numbered):
        return ""
    return MIXED.format(numbered=sum(numbered), masks=len(numbered))


def _with_numbers(pair: Pair, kind: type[InstanceMask]) -> Pair:
    annotation = pair.annotation
    if isinstance(annotation, SemanticMask):
        return replace(pair, annotation=kind(annotation.mask))
    return pair
