"""Segmentation of many images, in this process or in the workers of a cluster."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from unetflow.core.errors import InputError
from unetflow.inference.executor import Executor, LocalExecutor, TaskFunction, attempt
from unetflow.inference.segment_image import (
    LargeSettings,
    Outcome,
    SegmentedImage,
    SegmentingSettings,
    segment_image,
    segment_whole,
)
from unetflow.io.image_file import ImageFile, WholeImage

if TYPE_CHECKING:
    from unetflow.inference.segmenter import Segmenter

_Image = ImageFile | WholeImage | InputError
"""An image, decoded for a worker that does not see its file, or the error of decoding it."""


def segment_images(
    segmenter: "Segmenter",
    images: Mapping[str, ImageFile],
    settings: SegmentingSettings,
    executor: Executor["Segmenter"] | None = None,
) -> Iterator[tuple[str, Outcome]]:
    """Segment images one by one.

    Args:
        segmenter: The segmenter.
        images: By name.
        settings: Which results are wanted.
        executor: Computes whole images and the blocks of large ones; its context is the segmenter.
            None: this process.

    Yields:
        Each image's name with its result or error, in the order of the images.

    Raises:
        InputError: The executor cannot continue.
    """
    executor = executor or LocalExecutor(segmenter)
    function = _SegmentWhole(replace(settings, large=None))
    for large, group in groupby(images.items(), lambda item: _is_large(item[1], settings.large)):
        if large:
            segment = partial(segment_image, settings=settings, executor=executor)
            for name, image in group:
                yield name, attempt(segment, segmenter, name, image)
            continue
        tasks: Iterator[tuple[str, _Image]] = iter(group)
        if not executor.shares_files:
            tasks = ((name, attempt(image.open)) for name, image in group)
        for (name, _), outcome in executor.map(function, tasks):
            yield name, outcome


def _is_large(image: ImageFile, large: LargeSettings | None) -> bool:
    try:
        return large is not None and image.is_large(large.from_pixels)
    except InputError:  # raised again when the image is segmented
        return True


@dataclass(frozen=True)
class _SegmentWhole(TaskFunction["Segmenter", tuple[str, _Image], SegmentedImage]):
    """Segments an image with its name in one piece."""

    settings: SegmentingSettings

    def __call__(self, context: "Segmenter", task: tuple[str, _Image]) -> SegmentedImage:
        name, image = task
        if isinstance(image, InputError):
            raise image
        whole = image.open() if isinstance(image, ImageFile) else image
        return segment_whole(context, name, whole, self.settings)
