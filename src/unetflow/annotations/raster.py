"""Annotations that are mask files; see `records.Annotation`."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unetflow.annotations.class_map import ClassMap, decode_mask, ignored_pixels, object_pixels
from unetflow.annotations.records import RasterAnnotation, SourceImage
from unetflow.core.errors import DeclarationError, InputError
from unetflow.core.types import IGNORE, Label
from unetflow.io.files import File
from unetflow.io.formats.readers import read_mask


@dataclass(frozen=True)
class _SingleMask:
    """An annotation in one mask.

    Attributes:
        mask: The mask.
    """

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

    def draw(
        self, shape: tuple[int, int], class_map: ClassMap, max_pixels: int
    ) -> RasterAnnotation:
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
    """A mask that numbers the objects: 0 is background, each other value one object."""

    kind = "instances"

    def draw(
        self, shape: tuple[int, int], class_map: ClassMap, max_pixels: int
    ) -> RasterAnnotation:
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
        if ignored is not None:
            mask = np.where(ignored, 0, mask)
        _, numbers = np.unique(mask, return_inverse=True)
        has_background = bool(np.any(mask == 0))
        instances = to_smallest_dtype(numbers.reshape(mask.shape) + (0 if has_background else 1))
        label: Label = np.where(instances > 0, np.uint8(index), np.uint8(0))
        if ignored is not None:
            label[ignored] = IGNORE
        return RasterAnnotation(label, instances)


@dataclass(frozen=True)
class ObjectMasks:
    """One mask file for each object: it covers all but 0, or what reaches `binarise_at`."""

    masks: tuple[File, ...]
    where: str
    content: ClassVar[str] = "objects"

    @property
    def files(self) -> tuple[File, ...]:
        """The masks' files."""
        return self.masks

    def draw(
        self, shape: tuple[int, int], class_map: ClassMap, max_pixels: int
    ) -> RasterAnnotation:
        """Number the objects in the order of their files, the later one on top."""
        index = class_map.object_index(self.where)
        canvas, all_ignored = ObjectCanvas(shape), np.zeros(shape, bool)
        for file in self.masks:
            mask = read_mask(file, max_pixels, soft=class_map.binarise_at is not None)
            check_shape(file, mask.shape, shape)
            pixels = object_pixels(mask, class_map)
            ignored = ignored_pixels(mask, class_map)
            if ignored is not None:
                pixels &= ~ignored
                all_ignored |= ignored
            if not canvas.add(pixels, index) and (ignored is None or not ignored.any()):
                raise InputError(file, "the mask is empty", "Draw the object, or delete the file")
        canvas.ignore(all_ignored)
        return canvas.finish()


class ObjectCanvas:
    """A canvas on which objects are drawn one after the other.

    Args:
        shape: `(height, width)`.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._label = np.zeros(shape, np.uint8)
        self._instances = np.zeros(shape, np.uint32)
        self._overlap = np.zeros(shape, bool)
        self._count = 0

    def add(self, pixels: NDArray[np.bool_], index: int) -> bool:
        """Draw an object over those before it, and return whether it has any pixel.

        Args:
            pixels: `(height, width)`, where the object is.
            index: Its label.
        """
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

    def ignore(self, pixels: NDArray[np.bool_]) -> None:
        """Mark pixels as ignored, unless an object lies there."""
        self._label[pixels & (self._instances == 0)] = IGNORE

    def finish(self) -> RasterAnnotation:
        """Return what has been drawn."""
        overlap = int(np.count_nonzero(self._overlap))
        return RasterAnnotation(self._label, to_smallest_dtype(self._instances), overlap)


def to_smallest_dtype(numbers: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
    """Return object numbers as uint16, or uint32 where there are too many for it."""
    fits = not numbers.size or int(numbers.max()) <= np.iinfo(np.uint16).max
    return numbers.astype(np.uint16 if fits else np.uint32)


def check_shape(where: object, found: tuple[int, ...], shape: tuple[int, int]) -> None:
    """Refuse a mask whose size differs from its image's."""
    if tuple(found) != tuple(shape):
        problem = f"the mask is {found[1]} x {found[0]}, but its image is {shape[1]} x {shape[0]}"
        raise InputError(where, problem, "Export both at the same size")
