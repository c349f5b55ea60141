"""Segmentation of image files: whole, or block by block where they are large."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.config.mask_export import MaskExportParameters
from unetflow.core.errors import InputError
from unetflow.core.types import Label, Probabilities
from unetflow.inference.blockwise.overview import shrink_image, shrink_label
from unetflow.inference.blockwise.result_files import ResultFolders
from unetflow.inference.blockwise.segment_blocks import Progress, segment_large
from unetflow.inference.executor import Executor, LocalExecutor, TaskFunction, attempt
from unetflow.instances.objects import Objects, measure_objects
from unetflow.io.image_file import ImageFile, WholeImage, open_large
from unetflow.io.pixel_size import PixelSize
from unetflow.visualization.overlays import (
    PREDICTION_COLOUR,
    Picture,
    draw_label,
    paint_classes,
    tint_classes,
    to_picture,
)

if TYPE_CHECKING:
    from unetflow.inference.segmenter import Segmenter

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SegmentedImage:
    """The results of an image.

    A large image has an overlay of reduced size, and its label and probabilities in files; the
    other results are missing.

    Attributes:
        overlay: `(height, width, 3)` uint8, the image with outlines or colours of the label.
        label: `(height, width)` uint8, class indices.
        mask: For viewing: `(height, width)` uint8 of 0 and 255, or `(height, width, 3)` with a
            colour for each of several classes.
        probabilities: `(height, width, classes)`; None unless requested.
        pixel_size: The size of a pixel; None where unknown.
        objects: The objects; None unless requested.
        table: A row for each object; None unless requested.
        unlike: How the image differs from the training images; empty if it does not.
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
"""The results of an image, or the error why it cannot be segmented."""


def segment(
    segmenter: "Segmenter",
    images: Mapping[str, ImageFile],
    wanted: MaskExportParameters,
    folders: ResultFolders | None = None,
    executor: Executor["Segmenter"] | None = None,
) -> Iterator[tuple[str, Outcome]]:
    """Segment images, large ones block by block.

    Args:
        segmenter: The segmenter.
        images: By the name that stands in tables and in file names of large images.
        wanted: Which results are wanted, and which images are large.
        folders: Where results of large images go; None: all images are segmented whole.
        executor: Computes whole images and the blocks of large ones; its context is the segmenter.
            None: this process.

    Yields:
        The name of each image with its results or error, in the order of the images.

    Raises:
        InputError: The executor cannot continue.
    """
    executor = executor or LocalExecutor(segmenter)
    whole = _SegmentWhole(wanted)
    for large, group in groupby(
        images.items(), lambda item: folders is not None and _is_large(item[1], wanted)
    ):
        if large and folders is not None:
            for name, image in group:
                outcome = attempt(_segment_large, segmenter, name, image, wanted, folders, executor)
                yield name, outcome
            continue
        tasks: Iterator[tuple[str, ImageFile | WholeImage | InputError]] = iter(group)
        if not executor.shares_files:
            tasks = ((name, attempt(image.open)) for name, image in group)
        for (name, _), outcome in executor.map(whole, tasks):
            yield name, outcome


def _is_large(image: ImageFile, wanted: MaskExportParameters) -> bool:
    try:
        return image.is_large(wanted.large.min_pixels)
    except InputError:  # raised again when the image is segmented
        return True


@dataclass(frozen=True)
class _SegmentWhole(
    TaskFunction["Segmenter", tuple[str, ImageFile | WholeImage | InputError], SegmentedImage]
):
    """Segments an image in one piece: its file, its pixels, or the error of reading them."""

    wanted: MaskExportParameters

    def __call__(
        self, context: "Segmenter", task: tuple[str, ImageFile | WholeImage | InputError]
    ) -> SegmentedImage:
        name, image = task
        if isinstance(image, InputError):
            raise image
        whole = image.open() if isinstance(image, ImageFile) else image
        return _segment_whole(context, name, whole, self.wanted)


def _segment_whole(
    segmenter: "Segmenter", name: str, image: WholeImage, wanted: MaskExportParameters
) -> SegmentedImage:
    """Segment an image in one piece, however large it is."""
    pixels, classes = image.pixels, segmenter.settings.classes
    fraction = wanted.blended_overlap
    overlap = None if fraction is None else round(fraction * segmenter.settings.tile)
    probabilities = segmenter.predict_probabilities(pixels, views=wanted.views, overlap=overlap)
    postprocessing = segmenter.postprocessing.with_objects(wanted.objects)
    label = postprocessing.apply(probabilities)
    unlike = segmenter.describe_drift(pixels)
    objects, table = postprocessing.separate(label), None
    if objects is not None:
        table = measure_objects(objects, pixels, name, classes, image.pixel_size, unlike)
    return SegmentedImage(
        overlay=draw_label(to_picture(pixels), label, len(classes), PREDICTION_COLOUR),
        label=label,
        mask=label * np.uint8(255) if len(classes) == 2 else paint_classes(label),
        probabilities=probabilities if wanted.probabilities else None,
        pixel_size=image.pixel_size,
        objects=objects,
        table=table,
        unlike=unlike,
    )


def _segment_large(
    segmenter: "Segmenter",
    name: str,
    file: ImageFile,
    wanted: MaskExportParameters,
    folders: ResultFolders,
    executor: Executor["Segmenter"],
) -> SegmentedImage:
    """Segment an image block by block into files, if it can be read by windows.

    Raises:
        InputError: The image cannot be read or does not fit the segmenter, or its unfinished
            blocks belong to another segmenter or other parameters.
    """
    image = file.open(wanted.large.min_pixels)
    if isinstance(image, WholeImage):
        return _segment_whole(segmenter, name, image, wanted)
    with image:
        height, width, _ = image.shape
        _log.info(
            "%s: %d x %d pixels are segmented block by block: labels%s, and a reduced overlay; "
            "there are no mask and objects of so large an image",
            name,
            width,
            height,
            " and probabilities" if wanted.probabilities else "",
        )
        target = folders.label_of(name)
        done = segment_large(
            segmenter,
            image,
            target,
            views=wanted.views,
            executor=executor,
            probabilities=folders.probabilities_of(name) if wanted.probabilities else None,
            background=wanted.large.background,
            pixel_size=image.pixel_size,
            on_block=Progress(name, _log.info),
        )
        _log.info(
            "%s: all %d blocks are done; %d were finished before, %d are background",
            name,
            done.blocks,
            done.found,
            done.skipped,
        )
        overview = shrink_image(image)
        label = _shrink_written(target, overview.step)
        return SegmentedImage(
            # Outlines of objects that are a few pixels wide here would hide their inside.
            overlay=tint_classes(to_picture(overview.means), label),
            pixel_size=image.pixel_size,
            unlike=segmenter.describe_drift(overview.sample, image.shape),
        )


def _shrink_written(path: Path, step: int) -> Label:
    """Read a label at reduced size; its decoded tiles are freed before pictures need memory."""
    with open_large(path) as written:
        return shrink_label(written, step)
