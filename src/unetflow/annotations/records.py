"""What every source of data says of each image: where it lies and how it is annotated."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unetflow.annotations.class_map import ClassMap
from unetflow.core.errors import InputError
from unetflow.core.types import Label
from unetflow.io.files import File


@dataclass(frozen=True)
class SourceImage:
    """Where pixels lie.

    Attributes:
        file: An image file.
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
            on, 0 for none; None where the source does not tell objects apart.
        overlap: Number of pixels that more than one object claims; the last one got them.
    """

    label: Label
    instances: NDArray[np.unsignedinteger] | None = None
    overlap: int = 0


class Annotation(Protocol):
    """How one image is annotated; frozen, so that it can be compared and passed on."""

    @property
    def files(self) -> tuple[File, ...]:
        """The files that are read when it is drawn, none for what has been read already."""

    @property
    def where(self) -> str:
        """What to name in an error message and in the manifest."""

    @property
    def content(self) -> str:
        """Everything but the files' bytes that decides what is drawn."""

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
        id: A name that no other image of the data set has: a path with slashes, without ending.
        image: Where the image lies.
        annotation: How it is annotated.
        region: A mask of the pixels that count (all but 0); None where all do.
        group: What must stay on one side of a split, such as the volume of a slice; None where
            the source does not know.
        split: "train", "validation" or "test", where the source says so.
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
    """What a source has found.

    Attributes:
        pairs: The annotated images in natural order.
        refused: An error for each file that is left out.
        unlabelled: The images without annotation by id: nothing is wrong with them, they wait
            for a model's masks.
        recognised: What was recognised in a folder without a layout; "" where one was given.
    """

    pairs: list[Pair]
    refused: list[InputError]
    unlabelled: dict[str, SourceImage] = field(default_factory=dict)
    detected_layout: str = ""
