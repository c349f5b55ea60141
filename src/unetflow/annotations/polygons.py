"""Objects that a table describes: what the layouts `coco`, `labelme` and `rle` share."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_masks

from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.raster import ObjectCanvas
from unetflow.annotations.records import Pair, RasterAnnotation
from unetflow.annotations.tables import shorten
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE
from unetflow.io.files import File
from unetflow.io.formats.bounds import check_size

MAX_COORDINATE = 2**27
"""How far from the image's corner a point may lie, in pixels."""
MAX_STEPS = 20_000_000
"""Fifths of a pixel along an outline; each one takes 16 bytes while the outline is drawn."""
MAX_CHARACTERS = 7
"""Characters of a packed run length: 5 bits each, and no image has more than 2**34 pixels."""
_LARGEST_INT = 2**31 - 1


class Geometry(Protocol):
    """Where an object or a part of it lies; frozen, and its `repr` says everything."""

    def pixels(self, shape: tuple[int, int], where: object) -> NDArray[np.bool_]:
        """Return where it lies in an image of a shape `(height, width)`.

        Raises:
            InputError: It cannot be drawn; the error names `where`.
        """


@dataclass(frozen=True)
class Polygon:
    """A closed outline, drawn as the COCO tools do and clipped to the image.

    Attributes:
        numbers: x and y of each corner in turn, in pixels from the image's upper left corner.
    """

    numbers: tuple[float, ...]

    def pixels(self, shape: tuple[int, int], where: object) -> NDArray[np.bool_]:
        """Fill the outline."""
        height, width = shape
        corners = np.array(self.numbers).reshape(-1, 2)
        longer_sides = np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1)
        # The COCO tools walk along the outline however long it is, and in 32-bit numbers.
        if 5 * longer_sides.sum() + len(corners) > MAX_STEPS or height * width > _LARGEST_INT:
            raise InputError(
                where,
                f"its outline of {longer_sides.sum():.0f} pixels in an image of {width} x {height} "
                "is too large to be drawn",
                "Correct its points, or cut the image into parts",
            )
        (runs,) = coco_masks.frPyObjects([list(self.numbers)], height, width)
        return fill_runs(decode_coco_counts(runs["counts"].decode()), shape)


@dataclass(frozen=True)
class ShapedObject:
    """An object of an image.

    Attributes:
        name: What it is; None where the table does not say.
        parts: What it is made of, at least one part.
        where: What a person finds it by in the table, such as "annotation 12".
        ignored: Whether its pixels count nowhere.
    """

    name: str | None
    parts: tuple[Geometry, ...]
    where: str
    ignored: bool = False

    def index(self, class_map: ClassMap, where: object, counts: Mapping[str, int]) -> int:
        """Return its label; an error lists the names among the counted ones that have none."""
        if self.ignored:
            return IGNORE
        if self.name is None:
            return class_map.object_index(where)
        return class_map.index_of(self.name, where, counts)

    def pixels(self, shape: tuple[int, int], where: object) -> NDArray[np.bool_]:
        """Draw its parts; there must be a pixel in one of them."""
        first, *others = self.parts
        pixels = first.pixels(shape, where)
        for part in others:
            pixels |= part.pixels(shape, where)
        if not pixels.any():
            raise InputError(
                where, "no pixel of the image lies in it", "Correct or remove the object"
            )
        return pixels


@dataclass(frozen=True)
class ShapeAnnotation:
    """The objects of an image, read from a table already.

    Attributes:
        objects: The objects; later ones are drawn over earlier ones.
        where: The table's file, and in brackets which of its images.
        size: `(height, width)` of the image that was annotated; None where the table doesn't say.
        names: Number of objects by name in the whole data set, see `share_name_counts`.
    """

    objects: tuple[ShapedObject, ...]
    where: str
    size: tuple[int, int] | None = None
    names: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def files(self) -> tuple[File, ...]:
        """No file: all is in memory."""
        return ()

    @property
    def content(self) -> str:
        """A digest of all that is drawn."""
        objects = [(item.name, item.ignored, item.parts) for item in self.objects]
        return f"shapes {hashlib.sha256(repr((self.size, objects)).encode()).hexdigest()}"

    def count_names(self) -> Counter[str]:
        """Return how many objects have each name; ignored ones need none."""
        return Counter(i.name for i in self.objects if i.name is not None and not i.ignored)

    def draw(
        self, shape: tuple[int, int], class_map: ClassMap, max_pixels: int
    ) -> RasterAnnotation:
        """Number the objects in the table's order, then mark what is ignored around them.

        Objects that mean the background hide what they cover, as holes do, and are not numbered.
        """
        height, width = shape
        check_size(self.where, width, height, max_pixels)
        if self.size is not None and self.size != (height, width):
            raise InputError(
                self.where,
                f"an image of {self.size[1]} x {self.size[0]} pixels was annotated, but the image "
                f"is {width} x {height}",
                "Put the image there that was annotated, or annotate this one",
            )
        canvas, ignored = ObjectCanvas(shape), np.zeros(shape, bool)
        names = self.names or self.count_names()
        for item in self.objects:
            where = f"{self.where}, {item.where}"
            index = item.index(class_map, where, names)
            pixels = item.pixels(shape, where)
            if index == IGNORE:
                ignored |= pixels
            else:
                canvas.add(pixels, index)
        canvas.ignore(ignored)
        drawn = canvas.finish()
        if drawn.instances is not None:
            drawn.instances[drawn.label == 0] = 0
        return drawn


def share_name_counts(pairs: Iterable[Pair]) -> list[Pair]:
    """Tell each image the names in all of them, so that an error can list those without a class."""
    listed = list(pairs)
    names = Counter[str]()
    for pair in listed:
        if isinstance(pair.annotation, ShapeAnnotation):
            names.update(pair.annotation.count_names())
    return [
        replace(pair, annotation=replace(pair.annotation, names=names))
        if isinstance(pair.annotation, ShapeAnnotation)
        else pair
        for pair in listed
    ]


def fill_runs(lengths: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw runs that lie outside and inside in turn, down one column after the other.

    Args:
        lengths: In pixels, none below 0; together they fill the image.
        shape: `(height, width)`.
    """
    pixels = np.zeros(shape[0] * shape[1], bool)
    borders = np.cumsum(lengths).tolist()
    for start, end in zip(borders[::2], borders[1::2], strict=False):
        pixels[start:end] = True
    return pixels.reshape(shape, order="F")


def decode_coco_counts(text: str) -> NDArray[np.int64]:
    """Undo how the COCO tools pack run lengths (`rleToString` in their `maskApi.c`).

    Each character holds, above "0", 5 bits of a number, the lowest first, and a sixth bit that
    says whether more follow. The highest of a number's bits is its sign. From the fourth number
    on, what is packed is the difference to the number two before.

    Returns:
        The lengths, unchecked; none where the text is damaged.
    """
    codes = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    if not codes.size or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(codes & 32 == 0) + 1
    starts = np.concatenate([[0], ends[:-1]])
    digits = ends - starts
    if digits.max() > MAX_CHARACTERS:
        return np.zeros(0, np.int64)
    places = np.arange(codes.size) - np.repeat(starts, digits)
    numbers = np.add.reduceat((codes & 31) << (5 * places), starts)
    numbers -= np.where(codes[ends - 1] & 16, np.int64(1) << (5 * digits), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def parse_coordinates(values: Iterable[Any], where: object) -> tuple[float, ...]:
    """Return numbers of a table as coordinates in pixels.

    Raises:
        InputError: One is no number, or so large that no image reaches there.
    """
    coordinates = []
    for value in values:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not abs(value) <= MAX_COORDINATE:  # NaN is not
            raise InputError(
                where,
                f"its coordinate {shorten(value)} is no number up to {MAX_COORDINATE}",
                "Correct or remove the object",
            )
        coordinates.append(float(value))
    return tuple(coordinates)
