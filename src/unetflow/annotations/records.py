"""What every layout finds for each image: its file, its annotation, its group and its split."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unetflow.annotations.class_map import ClassMap
from unetflow.core.errors import InputError
from unetflow.core.types import Label
from unetflow.io.file_listing import natural_order
from unetflow.io.files import File


@dataclass(frozen=True)
class SourceImage:
    """An image in a file.

    Attributes:
        file: The file.
        page: The number of the image in a file that holds several; None where there is one.
    """

    file: File
    page: int | None = None

    def __str__(self) -> str:
        return str(self.file) if self.page is None else f"{self.file}[{self.page}]"


@dataclass(frozen=True)
class RasterAnnotation:
    """An annotation as pixels.

    Attributes:
        label: `(height, width)` uint8, class indices; 255 is ignored.
        instances: `(height, width)` uint16 or uint32, the number of each pixel's object from 1
            on, 0 for none; None where the source does not separate objects.
        overlap: Number of pixels that more than one object covers; the last one gets them.
    """

    label: Label
    instances: NDArray[np.unsignedinteger] | None = None
    overlap: int = 0


class Annotation(Protocol):
    """The annotation of one image; immutable, so that it can be compared and sent to workers."""

    @property
    def files(self) -> tuple[File, ...]:
        """The files that `draw` reads; none for what is in memory."""

    @property
    def where(self) -> str:
        """Its name in error messages and in the manifest."""

    @property
    def content(self) -> str:
        """Everything but the files' bytes that determines what is drawn."""

    def draw(
        self, shape: tuple[int, int], class_map: ClassMap, max_pixels: int
    ) -> RasterAnnotation:
        """Draw it for an image of a shape `(height, width)`.

        Raises:
            InputError: It cannot be read, does not fit the image, or means nothing declared.
        """


@dataclass(frozen=True)
class Pair:
    """One image and its annotation.

    Attributes:
        id: A name that no other image of the data set has: a path with slashes, without extension.
        image: The image.
        annotation: Its annotation.
        region: A mask of the pixels that count (all but 0); None where all do.
        group: What must stay on one side of a split, such as the volume of a slice; None where
            the source states none.
        split: "train", "validation" or "test"; None where the source states none.
        is_series: Whether the group is a series of neighbours, such as the slices of a volume,
            which a split into contiguous blocks may cut.
    """

    id: str
    image: SourceImage
    annotation: Annotation
    region: File | None = None
    group: str | None = None
    split: str | None = None
    is_series: bool = False


@dataclass(frozen=True)
class Pairing:
    """What a layout finds.

    Attributes:
        pairs: The annotated images in natural order.
        refused: An error for each file that is left out.
        unlabelled: The images without annotation by id; they wait for a model's masks.
        detected_layout: Explanation of a layout that was detected; "" where one was given.
    """

    pairs: list[Pair]
    refused: list[InputError]
    unlabelled: dict[str, SourceImage] = field(default_factory=dict)
    detected_layout: str = ""


def build_pairing(
    pairs: Iterable[Pair], unlabelled: Iterable[tuple[str, File]], refused: Iterable[InputError]
) -> Pairing:
    """Put what a layout finds in natural order, and refuse images that share their id.

    Args:
        pairs: The annotated images.
        unlabelled: The ids and files of the others.
        refused: The errors so far.
    """
    pairs = list(pairs)
    images: dict[str, list[SourceImage]] = defaultdict(list)
    for pair in pairs:
        images[pair.id].append(pair.image)
    for identifier, file in unlabelled:
        images[identifier].append(SourceImage(file))
    annotated = {pair.id: pair for pair in pairs}
    sole = [i for i in sorted(images, key=natural_order) if len(images[i]) == 1]
    shared = [
        InputError(
            image,
            f"several images have the id '{identifier}': {', '.join(i.file.name for i in found)}",
            "Rename or remove all but one of them",
        )
        for identifier, found in images.items()
        if len(found) > 1
        for image in found
    ]
    return Pairing(
        [annotated[i] for i in sole if i in annotated],
        sort_errors([*refused, *shared]),
        {i: images[i][0] for i in sole if i not in annotated},
    )


def sort_errors(errors: Iterable[InputError]) -> list[InputError]:
    """Return errors in the natural order of what they are about."""
    return sorted(errors, key=lambda error: natural_order(error.where))
