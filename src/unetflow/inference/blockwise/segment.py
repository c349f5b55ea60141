"""A finished model on images that are larger than the memory."""

from functools import partial
from pathlib import Path
from typing import Any

from unetflow.inference.blockwise.blocks import BlockModel
from unetflow.inference.blockwise.computing import compute_by
from unetflow.inference.blockwise.segment_blocks import BlockSummary, segment_blocks
from unetflow.inference.executor import Executor
from unetflow.inference.segmenter import Segmenter
from unetflow.io.lazy_image import LazyImage

LONGEST_WINDOW = 512
"""Edge of a window in pixels. Longer ones compute less twice, but here memory counts more."""


def as_block_model(segmenter: Segmenter, views: int = 1) -> BlockModel:
    """Return what `segment_blocks` must know of a segmenter.

    Args:
        segmenter: The segmenter.
        views: Over how many of the 8 symmetries of a square the probabilities are averaged.

    Raises:
        InputError: There are no so many symmetries.
    """
    settings = segmenter.settings
    return BlockModel(
        segmenter.predictor(views),
        settings.geometry,
        min(settings.tile, LONGEST_WINDOW),
        settings.postprocessing,
        {**segmenter.runtime.identity, "views": views},
    )


def segment_large(
    segmenter: Segmenter,
    image: LazyImage,
    target: Path,
    *,
    views: int = 1,
    executor: Executor[Segmenter] | None = None,
    **options: Any,
) -> BlockSummary:
    """Segment an image of any size in bounded memory as `Segmenter.predict` does in one piece.

    Args:
        segmenter: The segmenter.
        image: What `io.large_image.open_large` opens.
        target: Where the labels shall be, a `.tif` or a `.zarr`.
        views: See `as_block_model`.
        executor: Computes the blocks; its context is the segmenter. None: this process.
        **options: See `segment_blocks`.

    Raises:
        InputError: The channels or the type are not what the network was trained on; and see
            `segment_blocks`.

    Example:
        ```python
        with open_large(Path("slide.ome.tif")) as image:
            segment_large(segmenter, image, Path("labels.tif"))
        ```
    """
    segmenter.require_fitting(image.shape, image.dtype)
    if executor is not None:
        options["compute"] = compute_by(executor, partial(as_block_model, views=views))
    return segment_blocks(image, as_block_model(segmenter, views), target, **options)
