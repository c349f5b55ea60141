"""Annotations made of objects that a table describes, as in `coco`, `labelme` and `rle`."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.geometries import Geometry
from unetflow.annotations.raster import ObjectCanvas
from unetflow.annotations.records import Pair, RasterAnnotation
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE
from unetflow.io.files import File
from unetflow.io.formats.bounds import check_size


@dataclass(frozen=True)
class ShapedObject:
    """An object of an image.

    Attributes:
        name: Its class in the table; None where the table has none.
        parts: At least one geometry; the object is their union.
        where: Its place in the table, such as "annotation 12".
        ignored: Whether its pixels are excluded from training and scores.
    """

    name: str | None
    parts: tuple[Geometry, ...]
    where: str
    ignored: bool = False

    def pixels(self, shape: tuple[int, int], where: object) -> NDArray[np.bool_]:
        """Draw its parts, which must cover a pixel of the image."""
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
    """The objects of an image, in memory.

    Attributes:
        objects: The objects; later ones are drawn over earlier ones.
        where: The table's file, and in brackets the image.
        size: `(height, width)` of the annotated image; None where the table does not state it.
        name_counts: Number of objects by name in the whole data set, see `share_name_counts`.
    """

    objects: tuple[ShapedObject, ...]
    where: str
    size: tuple[int, int] | None = None
    name_counts: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

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
        """Count the objects of each name, without ignored ones, which need no class."""
        return Counter(i.name for i in self.objects if i.name is not None and not i.ignored)

    def draw(
        self, shape: tuple[int, int], class_map: ClassMap, max_pixels: int
    ) -> RasterAnnotation:
        """Number the objects in the table's order, then mark ignored pixels around them.

        Objects of the background class are holes: they hide what they cover and have no number.
        """
        height, width = shape
        check_size(self.where, width, height, max_pixels)
        if self.size is not None and self.size != (height, width):
            raise InputError(
                self.where,
                f"an image of {self.size[1]} x {self.size[0]} pixels was annotated, but the image "
                f"is {width} x {height}",
                "Use the image that was annotated, or annotate this one",
            )
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
    """Give each annotation the names in all of them, so that an error lists all undeclared ones."""
    listed = list(pairs)
    counts = Counter[str]()
    for pair in listed:
        if isinstance(pair.annotation, ShapeAnnotation):
            counts.update(pair.annotation.count_names())
    return [
        replace(pair, annotation=replace(pair.annotation, name_counts=counts))
        if isinstance(pair.annotation, ShapeAnnotation)
        else pair
        for pair in listed
    ]
