"""Annotations of images as pixels: mask files, and objects that a table describes.

An annotation is immutable, so that it can be compared and sent to workers. `files` are read while
it is drawn; `where` names it in error messages and in the manifest; `content` is everything but the
files' bytes that determines what is drawn. `draw` draws it for an image of a shape, or raises an
`InputError` if it cannot be read, does not fit the image, or means nothing declared.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import skimage as ski
from numpy.typing import NDArray

from unetflow.annotations.class_map import ClassMap, decode_mask, ignored_pixels, object_pixels
from unetflow.annotations.geometries import HeightWidth, ObjectPart, Pixels
from unetflow.core.errors import DeclarationError, InputError
from unetflow.core.types import IGNORE, Label
from unetflow.io.files import File
from unetflow.io.formats.bounds import check_size
from unetflow.io.formats.readers import read_mask

MIN_OF_LARGEST = 0.9
"""Fraction of an object's pixels that lie in its largest piece, however it is cut."""
_MAX_TABLE_NUMBER = 2**24
"""Largest number that a table of all numbers up to it is worth its memory for."""


@dataclass(frozen=True)
class SourceImage:
    """An image in a file."""

    file: File
    page: int | None = None  # its number in a file that holds several

    def __str__(self) -> str:
        return str(self.file) if self.page is None else f"{self.file}[{self.page}]"


@dataclass(frozen=True)
class RasterAnnotation:
    """An annotation as pixels, in arrays `(height, width)`."""

    label: Label  # uint8, class indices; 255 is ignored
    # uint16 or uint32, the number of each pixel's object from 1 on, 0 for none; None where the
    # source does not separate objects
    instances: NDArray[np.unsignedinteger] | None = None
    overlap: int = 0  # number of pixels that more than one object covers; the last one gets them


@dataclass(frozen=True)
class _SingleMask:
    """An annotation in one mask."""

    mask: SourceImage
    kind: ClassVar[str]

    @property
    def files(self) -> tuple[File, ...]:
        """The mask's file."""
        return (self.mask.file,)

    @property
    def where(self) -> str:
        """The mask's path."""
        return str(self.mask)

    @property
    def content(self) -> str:
        """The kind of annotation and the page."""
        return f"{self.kind} {self.mask.page}"


class SemanticMask(_SingleMask):
    """A mask whose values stand for classes."""

    kind = "mask"

    def draw(self, shape: HeightWidth, class_map: ClassMap, max_pixels: int) -> RasterAnnotation:
        """Read the mask and decode its values."""
        mask = read_mask(
            self.mask.file,
            max_pixels,
            self.mask.page,
            in_colour=class_map.in_colour,
            soft=class_map.binarise_at is not None,
        )
        check_shape(self.where, mask.shape, shape)
        return RasterAnnotation(decode_mask(mask, class_map, self.where))


class InstanceMask(_SingleMask):
    """A mask that numbers the objects: each value is one object, in however many pieces.

    0 is background, and so is what the class of the background declares.
    """

    kind = "instances"

    def draw(self, shape: HeightWidth, class_map: ClassMap, max_pixels: int) -> RasterAnnotation:
        """Read the mask; every object belongs to the only class beside the background."""
        index = class_map.object_index(self.where)
        if class_map.binarise_at is not None:
            problem = "its values are the numbers of objects, which cannot be binarised"
            raise DeclarationError(self.where, problem, "Remove `ingestion.masks.binarise_at`")
        mask = read_mask(self.mask.file, max_pixels, self.mask.page)
        check_shape(self.where, mask.shape, shape)
        if mask.min() < 0:
            raise InputError(self.where, "it numbers an object below 0", "Number them from 1 on")
        ignored = ignored_pixels(mask, class_map)
        empty = np.isin(mask, [v for v in class_map.classes[0].values or () if isinstance(v, int)])
        if ignored is not None:
            empty |= ignored
        instances = number_consecutively(np.where(empty, 0, mask))
        label: Label = np.where(instances > 0, np.uint8(index), np.uint8(0))
        if ignored is not None:
            label[ignored] = IGNORE
        return RasterAnnotation(label, instances)


class MixedMask(InstanceMask):
    """A mask that numbers the objects, or else holds one value for all of them.

    So masks of numbered objects may be corrected ones among plain ones, of 0 and 255 for example. A
    mask with one value alone counts as plain, since its only piece may be several objects.
    """

    kind = "instances or a mask"

    def draw(self, shape: HeightWidth, class_map: ClassMap, max_pixels: int) -> RasterAnnotation:
        """Read the mask; the objects have no numbers where there is one value alone."""
        drawn = super().draw(shape, class_map, max_pixels)
        is_plain = drawn.instances is not None and int(drawn.instances.max(initial=0)) == 1
        return RasterAnnotation(drawn.label) if is_plain else drawn


@dataclass(frozen=True)
class ObjectMasks:
    """One mask file for each object: it covers all but 0, or what reaches `binarise_at`."""

    files: tuple[File, ...]
    where: str
    content: ClassVar[str] = "objects"

    def draw(self, shape: HeightWidth, class_map: ClassMap, max_pixels: int) -> RasterAnnotation:
        """Number the objects in the order of their files, the later one on top."""
        index = class_map.object_index(self.where)
        canvas, all_ignored = ObjectCanvas(shape), np.zeros(shape, bool)
        for file in self.files:
            mask = read_mask(file, max_pixels, soft=class_map.binarise_at is not None)
            check_shape(file, mask.shape, shape)
            pixels, ignored = object_pixels(mask, class_map), ignored_pixels(mask, class_map)
            if ignored is not None:
                pixels &= ~ignored
                all_ignored |= ignored
            if not canvas.add(pixels, index) and (ignored is None or not ignored.any()):
                raise InputError(file, "the mask is empty", "Draw the object, or delete the file")
        return canvas.finish(all_ignored)


@dataclass(frozen=True)
class ShapedObject:
    """An object of an image."""

    name: str | None  # its class in the table; None where the table has none
    parts: tuple[ObjectPart, ...]  # at least one; the object is their union
    where: str  # its place in the table, such as "annotation 12"
    ignored: bool = False  # whether its pixels are excluded from training and scores


@dataclass(frozen=True)
class ShapeAnnotation:
    """The objects of an image as a table describes them, in memory."""

    objects: tuple[ShapedObject, ...]  # later ones are drawn over earlier ones
    where: str  # the table's file, and in brackets the image
    size: HeightWidth | None = None  # of the annotated image, if the table states it
    # Number of objects by name in the whole data set, so that an error lists all undeclared ones.
    name_counts: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    files: ClassVar[tuple[File, ...]] = ()

    @property
    def content(self) -> str:
        """A digest of all that is drawn."""
        objects = [(item.name, item.ignored, item.parts) for item in self.objects]
        return f"shapes {hashlib.sha256(repr((self.size, objects)).encode()).hexdigest()}"

    def count_names(self) -> Counter[str]:
        """Count the objects of each name, without ignored ones, which need no class."""
        return Counter(i.name for i in self.objects if i.name is not None and not i.ignored)

    def draw(self, shape: HeightWidth, class_map: ClassMap, max_pixels: int) -> RasterAnnotation:
        """Number the objects in the table's order, then mark ignored pixels around them.

        Objects of the background class are holes: they hide what they cover and have no number.
        """
        height, width = shape
        check_size(self.where, width, height, max_pixels)
        if self.size is not None and self.size != (height, width):
            problem = (
                f"an image of {self.size[1]} x {self.size[0]} pixels was annotated, but the image "
                f"is {width} x {height}"
            )
            fix = "Use the image that was annotated, or annotate this one"
            raise InputError(self.where, problem, fix)
        canvas, ignored = ObjectCanvas(shape), np.zeros(shape, bool)
        counts = self.name_counts or self.count_names()
        for item in self.objects:
            where = f"{self.where}, {item.where}"
            if item.ignored:
                index = IGNORE
            elif item.name is None:
                index = class_map.object_index(where)
            else:
                index = class_map.index_of(item.name, where, counts)
            pixels = item.parts[0].pixels(shape, where)
            for part in item.parts[1:]:
                pixels |= part.pixels(shape, where)
            if not pixels.any():
                problem = "no pixel of the image lies in it"
                raise InputError(where, problem, "Correct or remove the object")
            if index == IGNORE:
                ignored |= pixels
            else:
                canvas.add(pixels, index)
        drawn = canvas.finish(ignored)
        if drawn.instances is not None:
            drawn.instances[drawn.label == 0] = 0
        return drawn


def is_in_pieces(numbers: NDArray[np.unsignedinteger]) -> bool:
    """Return whether there is one number alone, and its largest piece is not nearly all of it."""
    if int(numbers.max(initial=0)) != 1:
        return False
    areas = np.bincount(ski.measure.label(numbers, connectivity=2).ravel())[1:]
    return bool(areas.max() < MIN_OF_LARGEST * areas.sum())


Annotation = SemanticMask | InstanceMask | ObjectMasks | ShapeAnnotation


class ObjectCanvas:
    """A canvas of a shape `(height, width)` on which objects are drawn one after the other."""

    def __init__(self, shape: HeightWidth) -> None:
        self._label = np.zeros(shape, np.uint8)
        self._instances = np.zeros(shape, np.uint32)
        self._overlap = np.zeros(shape, bool)
        self._count = 0

    def add(self, pixels: Pixels, index: int) -> bool:
        """Draw an object of a label over those before it, and return whether it has any pixel."""
        rows = np.flatnonzero(pixels.any(axis=1))
        if not rows.size:
            return False
        columns = np.flatnonzero(pixels[rows[0] : rows[-1] + 1].any(axis=0))
        # Objects are small: change only the box around one, not the whole image.
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        inside = pixels[box]
        self._overlap[box] |= inside & (self._instances[box] > 0)
        self._label[box][inside] = index
        self._count += 1
        self._instances[box][inside] = self._count
        return True

    def finish(self, ignored: Pixels) -> RasterAnnotation:
        """Return what has been drawn; pixels without an object may be ignored."""
        self._label[ignored & (self._instances == 0)] = IGNORE
        overlap = int(np.count_nonzero(self._overlap))
        return RasterAnnotation(self._label, to_smallest_dtype(self._instances), overlap)


def number_consecutively(numbers: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
    """Number objects from 1 on in the order of their numbers; 0 stays."""
    if int(numbers.max(initial=0)) <= _MAX_TABLE_NUMBER:
        return to_smallest_dtype(ski.segmentation.relabel_sequential(numbers)[0])
    known, ranks = np.unique(numbers, return_inverse=True)
    return to_smallest_dtype(ranks.reshape(numbers.shape) + int(known[0] > 0))


def to_smallest_dtype(numbers: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
    """Return object numbers as uint16, or uint32 where there are too many for it."""
    fits = not numbers.size or int(numbers.max()) <= np.iinfo(np.uint16).max
    return numbers.astype(np.uint16 if fits else np.uint32)


def check_shape(where: object, found: tuple[int, ...], shape: HeightWidth) -> None:
    """Refuse a mask whose size differs from its image's."""
    if tuple(found) != tuple(shape):
        problem = f"the mask is {found[1]} x {found[0]}, but its image is {shape[1]} x {shape[0]}"
        raise InputError(where, problem, "Export both at the same size")
