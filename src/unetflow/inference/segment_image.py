"""What a segmenter makes of one image."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.config.background import BackgroundRule
from unetflow.config.mask_export import ObjectParameters
from unetflow.core.errors import InputError
from unetflow.core.types import Label, Probabilities
from unetflow.inference.blockwise.overview import shrink_image, shrink_label
from unetflow.inference.blockwise.result_files import ResultFolders
from unetflow.inference.blockwise.segment_blocks import Progress, segment_large
from unetflow.inference.executor import Executor
from unetflow.instances.extraction import Objects, find_objects
from unetflow.instances.measurements import measure_objects
from unetflow.io.image_file import ImageFile, WholeImage
from unetflow.io.large_image import open_large
from unetflow.io.lazy_image import LazyImage
from unetflow.io.pixel_size import PixelSize
from unetflow.visualization.overlays import (
    Picture,
    draw_label,
    paint_classes,
    tint_classes,
    to_picture,
)
from unetflow.visualization.palette import PREDICTION_COLOUR

if TYPE_CHECKING:
    from unetflow.inference.segmenter import Segmenter

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LargeSettings:
    """Which images go block by block, and where their results go.

    Attributes:
        from_pixels: Width times height from which on they do; see `ImageFile.open`.
        folders: Where the results go.
        background: Which blocks are skipped; None: none.
    """

    from_pixels: int
    folders: ResultFolders
    background: BackgroundRule | None = None


@dataclass(frozen=True)
class SegmentingSettings:
    """How images are segmented, and what is made of them besides their labels.

    Attributes:
        objects: How their objects are found; None: they are not.
        probabilities: Whether the probabilities are kept.
        views: Over how many flips and turns probabilities are averaged.
        blended_overlap: The share of a window by which neighbours overlap that are blended; None
            joins them exactly, as large images always are.
        large: What goes block by block; None: nothing.
    """

    objects: ObjectParameters | None = None
    probabilities: bool = False
    views: int = 1
    blended_overlap: float | None = None
    large: LargeSettings | None = None


@dataclass(frozen=True)
class SegmentedImage:
    """All that is made of an image.

    Of a large one there is the overlay in small; its label and its probabilities lie in their
    files already, and the rest is not made.

    Attributes:
        overlay: `(height, width, 3)` uint8, the image with the mask's outline or colours; in
            small always with its colours.
        label: `(height, width)` uint8, class indices.
        mask: For people, `(height, width)` uint8 of 0 and 255; of more than two classes
            `(height, width, 3)`, each in its colour.
        probabilities: `(height, width, classes)`; None where they are not asked for.
        pixel_size: The size of the image's pixels; None where it is not known.
        objects: The objects; None where they are not asked for.
        table: A row for each of them, likewise.
        unlike: In what the image is unlike those of the training; empty if in nothing.
    """

    overlay: Picture
    label: Label | None = None
    mask: NDArray[np.uint8] | None = None
    probabilities: Probabilities | None = None
    pixel_size: PixelSize | None = None
    objects: Objects | None = None
    table: pd.DataFrame | None = None
    unlike: str = ""


Outcome = SegmentedImage | InputError
"""What became of an image: why it could not be used, where it could not."""


def segment_image(
    segmenter: "Segmenter",
    name: str,
    image: ImageFile,
    settings: SegmentingSettings,
    executor: Executor["Segmenter"] | None = None,
) -> SegmentedImage:
    """Segment one image.

    Args:
        segmenter: The segmenter.
        name: What the image is called in the table of objects, and in the files of a large one.
        image: The image.
        settings: What is asked for.
        executor: Computes the blocks of a large image; None: this process.

    Raises:
        InputError: The image cannot be read, or is not what the segmenter was trained on; a large
            one can also be under way already with another segmenter or other settings.
    """
    if settings.large is None:
        return segment_whole(segmenter, name, image.open(), settings)
    opened = image.open(settings.large.from_pixels)
    if isinstance(opened, WholeImage):
        return segment_whole(segmenter, name, opened, settings)
    with opened:
        return _segment_by_blocks(segmenter, name, opened, settings, settings.large, executor)


def segment_whole(
    segmenter: "Segmenter", name: str, image: WholeImage, settings: SegmentingSettings
) -> SegmentedImage:
    """Segment one image in one piece, however large it is; see `segment_image`."""
    pixels = image.pixels
    share, tile = settings.blended_overlap, segmenter.settings.tile
    overlap = None if share is None else round(share * tile)
    probabilities = segmenter.predict_probabilities(pixels, views=settings.views, overlap=overlap)
    label = segmenter.postprocessing.apply(probabilities)
    classes = segmenter.settings.classes
    unlike = segmenter.describe_drift(pixels)
    objects = table = None
    if settings.objects is not None:
        objects = find_objects(label, settings.objects)
        table = measure_objects(objects, pixels, name, classes, image.pixel_size, unlike)
    return SegmentedImage(
        overlay=draw_label(to_picture(pixels), label, len(classes), PREDICTION_COLOUR),
        label=label,
        mask=label * np.uint8(255) if len(classes) == 2 else paint_classes(label),
        probabilities=probabilities if settings.probabilities else None,
        pixel_size=image.pixel_size,
        objects=objects,
        table=table,
        unlike=unlike,
    )


def _segment_by_blocks(
    segmenter: "Segmenter",
    name: str,
    image: LazyImage,
    settings: SegmentingSettings,
    large: LargeSettings,
    executor: Executor["Segmenter"] | None,
) -> SegmentedImage:
    height, width, _ = image.shape
    also = " and probabilities" if settings.probabilities else ""
    _log.info(
        "%s: %d x %d pixels go block by block: labels%s, and the overlay in small; mask and "
        "objects are not made of so large an image",
        name,
        width,
        height,
        also,
    )
    target = large.folders.label_of(name)
    done = segment_large(
        segmenter,
        image,
        target,
        views=settings.views,
        executor=executor,
        probabilities=large.folders.probabilities_of(name) if settings.probabilities else None,
        background=large.background,
        batch_size=1,  # a window takes some hundred megabytes on its way through a wide network
        pixel_size=image.pixel_size,
        on_block=Progress(name, _log.info),
    )
    _log.info(
        "%s: all of %d blocks are done; %d were from before, %d are background by the rule",
        name,
        done.blocks,
        done.found,
        done.skipped,
    )
    overview = shrink_image(image)
    label = _shrink_written(target, overview.step)
    return SegmentedImage(
        # Outlines of objects that are a few pixels wide here would hide all that is inside them.
        overlay=tint_classes(to_picture(overview.means), label),
        pixel_size=image.pixel_size,
        unlike=segmenter.describe_drift(overview.sample, image.shape),
    )


def _shrink_written(path: Path, step: int) -> Label:
    """Read a label in small; what was decoded for it is let go of here, before pictures need it."""
    with open_large(path) as written:
        return shrink_label(written, step)
