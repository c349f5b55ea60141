"""What a segmenter makes of one image, and of many one by one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.image_file import ImageFile
from unetflow.imaging.labels import Label
from unetflow.imaging.objects import (
    Objects,
    ObjectSettings,
    PixelSize,
    find_objects,
    measure_objects,
)
from unetflow.imaging.overlays import (
    PREDICTION_COLOUR,
    Picture,
    draw_label,
    paint_classes,
    to_picture,
)

if TYPE_CHECKING:
    from unetflow.unet.segmenter import Segmenter


@dataclass(frozen=True)
class SegmentingSettings:
    """What is made of an image besides its label.

    Attributes:
        objects: How its objects are found; None: they are not.
    """

    objects: ObjectSettings | None = None


@dataclass(frozen=True)
class SegmentedImage:
    """All that is made of an image.

    Attributes:
        label: `(height, width)` uint8, class indices.
        mask: For people, `(height, width)` uint8 of 0 and 255; of more than two classes
            `(height, width, 3)`, each in its colour.
        overlay: `(height, width, 3)` uint8, the image with the mask's outline or colours.
        pixel_size: The size of the image's pixels; None where it is not known.
        objects: The objects; None where they are not asked for.
        table: A row for each of them, likewise.
        unlike: In what the image is unlike those of the training; empty if in nothing.
    """

    label: Label
    mask: NDArray[np.uint8]
    overlay: Picture
    pixel_size: PixelSize | None = None
    objects: Objects | None = None
    table: pd.DataFrame | None = None
    unlike: str = ""


Outcome = SegmentedImage | InputError
"""What became of an image: why it could not be used, where it could not."""


def segment_image(
    segmenter: "Segmenter", name: str, image: ImageFile, settings: SegmentingSettings
) -> SegmentedImage:
    """Segment one image; depends on nothing but its arguments, so that any process can do it.

    Args:
        segmenter: The segmenter.
        name: What the image is called in the table of objects.
        image: The image.
        settings: What is asked for.

    Raises:
        InputError: The image cannot be read, or is not what the segmenter was trained on.
    """
    pixels = image.read()
    label = segmenter.predict(pixels)
    classes = segmenter.settings.classes
    unlike = segmenter.explain_unlikeness(pixels)
    size = image.read_pixel_size()
    objects = table = None
    if settings.objects is not None:
        objects = find_objects(label, settings.objects)
        table = measure_objects(objects, pixels, name, classes, size, unlike)
    return SegmentedImage(
        label=label,
        mask=label * np.uint8(255) if len(classes) == 2 else paint_classes(label),
        overlay=draw_label(to_picture(pixels), label, len(classes), PREDICTION_COLOUR),
        pixel_size=size,
        objects=objects,
        table=table,
        unlike=unlike,
    )


def segment_images(
    segmenter: "Segmenter", images: Mapping[str, ImageFile], settings: SegmentingSettings
) -> Iterator[tuple[str, Outcome]]:
    """Segment images one by one, in this process.

    Args:
        segmenter: The segmenter.
        images: By name.
        settings: What is asked for.

    Yields:
        Each image's name, and what became of it.
    """
    for name, image in images.items():
        try:
            yield name, segment_image(segmenter, name, image, settings)
        except InputError as error:
            yield name, error
