"""Segmentation of image files: whole, or block by block where they are large."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.config.mask_export import MaskExportParameters
from unetflow.core.errors import InputError
from unetflow.core.types import Label, Probabilities
from unetflow.inference.blockwise.result_files import ResultFolders
from unetflow.inference.blockwise.segment_blocks import Progress, segment_blocks
from unetflow.inference.executor import Executor, TaskFunction, attempt
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.large_measurements import measure_large_objects
from unetflow.instances.objects import Objects, measure_objects
from unetflow.instances.shapes import AnyObjects
from unetflow.io.image_file import ImageFile, WholeImage, open_large
from unetflow.io.lazy_image import LazyImage
from unetflow.io.pixel_size import PixelSize
from unetflow.visualization.object_numbers import draw_object_numbers
from unetflow.visualization.overlays import (
    PREDICTION_COLOUR,
    Picture,
    draw_label,
    paint_classes,
    tint_classes,
    to_picture,
)

_log = logging.getLogger(__name__)

OVERVIEW_EDGE = 2048
"""Longest edge of the reduced copy of a large image in pixels."""
_STRIP_NUMBERS = 2**23
"""Number of values that are read at once for it."""


@dataclass(frozen=True)
class SegmentedImage:
    """The results of an image.

    A large image has an overlay of reduced size, its label, probabilities and objects in files, and
    no mask for viewing.

    Attributes:
        overlay: `(height, width, 3)` uint8, the image with the outline of each object, or with
            outlines or colours of the label.
        class_pixels: `(classes,)` int64, the number of pixels of each class in the label.
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
    class_pixels: NDArray[np.int64]
    label: Label | None = None
    mask: NDArray[np.uint8] | None = None
    probabilities: Probabilities | None = None
    pixel_size: PixelSize | None = None
    objects: AnyObjects | None = None
    table: pd.DataFrame | None = None
    unlike: str = ""


Outcome = SegmentedImage | InputError
"""The results of an image, or the error why it cannot be segmented."""
_Task = tuple[str, ImageFile | WholeImage | InputError]


def segment(
    segmenter: Segmenter,
    images: Mapping[str, ImageFile],
    wanted: MaskExportParameters,
    folders: ResultFolders | None = None,
    executor: Executor[Segmenter] | None = None,
) -> Iterator[tuple[str, Outcome]]:
    """Segment images, large ones block by block.

    Args:
        segmenter: The segmenter.
        images: By the name that stands in tables and in file names of large images.
        wanted: Which results are wanted, and which images are large.
        folders: Where results of large images go; None: all images are segmented whole.
        executor: Computes whole images and the blocks of large ones; its context is the segmenter.
            None: this process. An `InputError` is raised where it cannot continue.

    Yields:
        The name of each image with its results or error, in the order of the images.
    """
    executor = executor or Executor(segmenter)
    for large, group in groupby(
        images.items(), lambda item: folders is not None and _is_large(item[1], wanted)
    ):
        if large and folders is not None:
            for name, image in group:
                outcome = attempt(_segment_large, segmenter, name, image, wanted, folders, executor)
                yield name, outcome
            continue
        tasks: Iterator[_Task] = iter(group)
        if not executor.shares_files:
            tasks = ((name, attempt(image.open)) for name, image in group)
        for (name, _), outcome in executor.map(_SegmentWhole(wanted), tasks):
            yield name, outcome


def _is_large(image: ImageFile, wanted: MaskExportParameters) -> bool:
    try:
        return image.is_large(wanted.large.min_pixels)
    except InputError:  # raised again when the image is segmented
        return True


@dataclass(frozen=True)
class _SegmentWhole(TaskFunction[Segmenter, _Task, SegmentedImage]):
    """Segments an image in one piece: its file, its pixels, or the error of reading them."""

    wanted: MaskExportParameters

    def __call__(self, context: Segmenter, task: _Task) -> SegmentedImage:
        name, image = task
        if isinstance(image, InputError):
            raise image
        whole = image.open() if isinstance(image, ImageFile) else image
        pixels, classes, wanted = whole.pixels, context.settings.classes, self.wanted
        fraction = wanted.blended_overlap
        overlap = None if fraction is None else round(fraction * context.settings.tile)
        outputs = context.predict_outputs(pixels, views=wanted.views, overlap=overlap)
        postprocessing = context.postprocessing.with_objects(wanted.objects)
        probabilities, label, objects = postprocessing.segment(outputs)
        unlike, table = context.describe_drift(pixels), None
        if objects is not None:
            table = measure_objects(objects, pixels, name, classes, whole.pixel_size, unlike)
        return SegmentedImage(
            overlay=_draw_overlay(to_picture(pixels), label, objects, len(classes), wanted),
            class_pixels=np.bincount(label.ravel(), minlength=len(classes)),
            label=label,
            mask=label * np.uint8(255) if len(classes) == 2 else paint_classes(label),
            probabilities=probabilities if wanted.probabilities else None,
            pixel_size=whole.pixel_size,
            objects=objects,
            table=table,
            unlike=unlike,
        )


def _draw_overlay(
    picture: Picture,
    label: Label,
    objects: Objects | None,
    classes: int,
    wanted: MaskExportParameters,
) -> Picture:
    """Draw each object's own outline, with its number where wanted."""
    numbers = None if objects is None else objects.numbers
    drawn = draw_label(picture, label, classes, PREDICTION_COLOUR, numbers)
    if numbers is None or not wanted.object_numbers:
        return drawn
    return draw_object_numbers(drawn, numbers)


def _segment_large(
    segmenter: Segmenter,
    name: str,
    file: ImageFile,
    wanted: MaskExportParameters,
    folders: ResultFolders,
    executor: Executor[Segmenter],
) -> SegmentedImage:
    """Segment an image block by block into files, if it can be read by windows."""
    image = file.open(wanted.large.min_pixels)
    if isinstance(image, WholeImage):
        return _SegmentWhole(wanted)(segmenter, (name, image))
    with image:
        height, width, _ = image.shape
        _log.info(
            "%s: %d x %d pixels are segmented block by block: labels%s%s and a reduced overlay; "
            "there is no mask for viewing of so large an image",
            name,
            width,
            height,
            ", probabilities" if wanted.probabilities else "",
            "" if wanted.objects is None else ", objects",
        )
        target = folders.label_of(name)
        done = segment_blocks(
            segmenter,
            image,
            target,
            probabilities=folders.probabilities_of(name) if wanted.probabilities else None,
            instances=None if wanted.objects is None else folders.instances_of(name),
            wanted=wanted,
            executor=executor,
            on_block=Progress(name, _log.info),
        )
        _log.info(
            "%s: all %d blocks are done; %d were finished before, %d are background",
            name,
            done.blocks,
            done.found,
            done.skipped,
        )
        overview, table, objects = shrink_image(image), None, done.objects
        unlike = segmenter.describe_drift(overview.sample, image.shape)
        if objects is not None:
            classes = segmenter.settings.classes
            table = measure_large_objects(objects, image, name, classes, unlike)
        with open_large(target) as written:
            label = shrink_label(written, overview.step)
            class_pixels = count_classes(written, len(segmenter.settings.classes))
        del written  # its decoded tiles are freed before pictures need memory
        return SegmentedImage(
            # Outlines of objects that are a few pixels wide here would hide their inside.
            overlay=tint_classes(to_picture(overview.means), label),
            class_pixels=class_pixels,
            pixel_size=image.pixel_size,
            objects=objects,
            table=table,
            unlike=unlike,
        )


class Overview(NamedTuple):
    """Reduced copies of a large image, for its overlay and statistics of its intensities.

    Attributes:
        step: Edge in pixels of the square that one pixel stands for.
        means: `(height, width, channels)` float32, the mean of each square.
        sample: `(height, width, channels)`, the middle pixel of each square.
    """

    step: int
    means: NDArray[np.float32]
    sample: NDArray[np.generic]


def shrink_image(image: LazyImage, edge: int = OVERVIEW_EDGE) -> Overview:
    """Reduce an image while reading it once.

    Rows and columns at the end that do not fill a square are left out.

    Args:
        image: The image.
        edge: Longest edge of the overview in pixels; exceeded where the shorter edge would vanish.
    """
    step = min(-(-max(image.shape[:2]) // edge), *image.shape[:2])
    means, sample = [], []
    for strip in _strips(image, step):
        height, width, channels = strip.shape
        squares = strip.reshape(height // step, step, width // step, step, channels)
        means.append(squares.mean(axis=(1, 3), dtype=np.float32))
        sample.append(squares[:, step // 2, :, step // 2].copy())  # a view would keep the strip
    return Overview(step, np.concatenate(means), np.concatenate(sample))


def shrink_label(label: LazyImage, step: int) -> Label:
    """Return the middle pixel of each square of a label; see `Overview.step`."""
    middle = slice(step // 2, None, step)
    strips = [strip[middle, middle, 0].astype(np.uint8) for strip in _strips(label, step)]
    return np.concatenate(strips)


def count_classes(label: LazyImage, classes: int) -> NDArray[np.int64]:
    """Return the number of pixels of each class in a label, `(classes,)`, read strip by strip."""
    counts = np.zeros(classes, np.int64)
    for strip in _strips(label, 1):
        for row in strip:  # NumPy counts in copies of eight bytes for each pixel
            counts += np.bincount(row.ravel(), minlength=classes)
    return counts


def _strips(image: LazyImage, step: int) -> Iterator[NDArray[np.generic]]:
    """Yield rows of an image that fill squares, without the columns that do not."""
    height, width, channels = image.shape
    height, width = height // step * step, width // step * step
    rows = max(_STRIP_NUMBERS // (width * channels * step), 1) * step
    for first in range(0, height, rows):
        yield image.read((first, min(first + rows, height)), (0, width))
