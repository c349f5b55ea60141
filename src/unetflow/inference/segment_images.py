"""Segmentation of many images, in this process or in the workers of a cluster."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.inference.executor import Executor, LocalExecutor, TaskFunction, attempt
from unetflow.inference.segment_image import (
    LargeSettings,
    Outcome,
    Readable,
    SegmentedImage,
    SegmentingSettings,
    segment_image,
    segment_whole,
)
from unetflow.io.image_file import ImageFile
from unetflow.io.pixel_size import PixelSize

if TYPE_CHECKING:
    from unetflow.inference.segmenter import Segmenter


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
        tasks: Iterator[tuple[str, Readable]] = iter(group)
        if not executor.shares_files:
            tasks = (_decode(name, image) for name, image in group)
        for (name, _), outcome in executor.map(function, tasks):
            yield name, outcome


def _is_large(image: ImageFile, large: LargeSettings | None) -> bool:
    if large is None:
        return False
    try:
        opened = image.open_if_large(large.from_pixels)
    except InputError:  # raised again when the image is segmented
        return True
    if opened is not None:
        opened.close()
    return opened is not None


@dataclass(frozen=True)
class _DecodedImage:
    """An image that was decoded for a worker that does not see its file, or the error of that."""

    pixels: NDArray[np.generic] | InputError
    size: PixelSize | None

    def read(self) -> NDArray[np.generic]:
        if isinstance(self.pixels, InputError):
            raise self.pixels
        return self.pixels

    def read_pixel_size(self) -> PixelSize | None:
        return self.size


def _decode(name: str, image: ImageFile) -> tuple[str, _DecodedImage]:
    return name, _DecodedImage(attempt(image.read), image.read_pixel_size())


@dataclass(frozen=True)
class _SegmentWhole(TaskFunction["Segmenter", tuple[str, Readable], SegmentedImage]):
    """Segments an image with its name in one piece."""

    settings: SegmentingSettings

    def __call__(self, context: "Segmenter", task: tuple[str, Readable]) -> SegmentedImage:
        return segment_whole(context, *task, self.settings)
