"""What a segmenter makes of many images, in this process or in the workers of a cluster."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.inference.executor import (
    Executor,
    InProcess,
    attempt,
)
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
    runner: Executor["Segmenter"] | None = None,
) -> Iterator[tuple[str, Outcome]]:
    """Segment images one by one.

    Args:
        segmenter: The segmenter.
        images: By name.
        settings: What is asked for.
        runner: Who computes them, as `executor.open_executor` gives it with this segmenter and
            `packing.pack`: whole images, and the blocks of large ones. None: this process.

    Yields:
        Each image's name, and what became of it, in their order.

    Raises:
        InputError: The runner cannot go on.
    """
    runner = InProcess(segmenter) if runner is None else runner
    job = _WholeImages(replace(settings, large=None))
    by_kind = groupby(images.items(), lambda item: _is_large(item[1], settings.large))
    for large, group in by_kind:
        if large:
            for name, image in group:
                segment = partial(segment_image, segmenter, name, settings=settings, runner=runner)
                yield name, attempt(segment, image)
            continue
        tasks: Iterable[tuple[str, Readable]]
        tasks = group if runner.sees_files else map(_decode, group)
        for (name, _), found in runner.call_each(job, tasks):
            yield name, found


def _is_large(image: ImageFile, large: LargeSettings | None) -> bool:
    if large is None:
        return False
    try:
        opened = image.open_if_large(large.from_pixels)
    except InputError:  # which is told when it is the image's turn
        return True
    if opened is None:
        return False
    opened.close()
    return True


@dataclass(frozen=True)
class _DecodedImage:
    """An image that was read by who sees its file, or the error that came of it."""

    pixels: NDArray[np.generic] | InputError
    size: PixelSize | None

    def read(self) -> NDArray[np.generic]:
        if isinstance(self.pixels, InputError):
            raise self.pixels
        return self.pixels

    def read_pixel_size(self) -> PixelSize | None:
        return self.size


def _decode(item: tuple[str, ImageFile]) -> tuple[str, _DecodedImage]:
    name, image = item
    return name, _DecodedImage(attempt(ImageFile.read, image), image.read_pixel_size())


@dataclass(frozen=True)
class _WholeImages:
    """A job for `Executor.call_each`, whose tasks are images with their names."""

    settings: SegmentingSettings

    @contextmanager
    def __call__(
        self, segmenter: "Segmenter"
    ) -> Iterator[Callable[[tuple[str, Readable]], SegmentedImage]]:
        yield lambda task: segment_whole(segmenter, *task, self.settings)
