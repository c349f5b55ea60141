"""Segmentation of images larger than memory, block by block."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from unetflow.config.mask_export import BackgroundParameters
from unetflow.core.errors import InputError
from unetflow.inference.blockwise.blocks import plan_blocks
from unetflow.inference.blockwise.prediction import (
    BlockModel,
    BlockOptions,
    PredictBlocks,
    predict_blocks,
    predict_locally,
)
from unetflow.inference.blockwise.result_files import check_target, lock_targets
from unetflow.inference.executor import Executor
from unetflow.inference.segmenter import Segmenter
from unetflow.io.lazy_image import LazyImage
from unetflow.io.pixel_size import PixelSize

BLOCK = 2048
"""Longest edge of a block in pixels."""
LONGEST_WINDOW = 512
"""Edge of a window in pixels. Longer windows overlap less, but here memory counts more."""


@dataclass(frozen=True)
class BlockSummary:
    """Number of blocks of an image, by what became of them.

    Attributes:
        blocks: All blocks.
        found: Blocks that an earlier call had finished.
        skipped: Blocks that were taken for background.
    """

    blocks: int
    found: int
    skipped: int


def segment_large(
    segmenter: Segmenter,
    image: LazyImage,
    target: Path,
    *,
    views: int = 1,
    executor: Executor[Segmenter] | None = None,
    **options: Any,
) -> BlockSummary:
    """Segment an image of any size in bounded memory; see `segment_blocks`.

    Args:
        segmenter: The segmenter.
        image: The image, as `io.image_file.open_large` opens it.
        target: File for the labels, a `.tif` or a `.zarr`.
        views: See `as_block_model`.
        executor: Predicts the blocks; its context is the segmenter. None: this process.
        **options: Options of `segment_blocks`.

    Raises:
        InputError: The channels or the type are not those of the training images; and see
            `segment_blocks`.

    Example:
        ```python
        with open_large(Path("slide.ome.tif")) as image:
            segment_large(segmenter, image, Path("labels.tif"))
        ```
    """
    segmenter.require_fitting(image.shape, image.dtype)
    if executor is not None:
        as_model = partial(as_block_model, views=views)
        options["predict"] = partial(predict_blocks, executor, as_model)
    return segment_blocks(image, as_block_model(segmenter, views), target, **options)


def as_block_model(segmenter: Segmenter, views: int = 1) -> BlockModel:
    """Return the model of a segmenter for `segment_blocks`.

    Args:
        segmenter: The segmenter.
        views: Number of the 8 symmetries of a square over which probabilities are averaged.

    Raises:
        InputError: There are not so many symmetries.
    """
    settings = segmenter.settings
    return BlockModel(
        segmenter.predictor(views),
        settings.geometry,
        min(settings.tile, LONGEST_WINDOW),
        settings.postprocessing,
        {**segmenter.runtime.identity, "views": views},
    )


def segment_blocks(
    image: LazyImage,
    model: BlockModel,
    target: Path,
    *,
    probabilities: Path | None = None,
    block: int = BLOCK,
    background: BackgroundParameters | None = None,
    pixel_size: PixelSize | None = None,
    predict: PredictBlocks | None = None,
    on_block: Callable[[int, int], None] = lambda done, blocks: None,
) -> BlockSummary:
    """Segment an image of any size in bounded memory.

    The result is that of `tiling.predict_tiled` and `Postprocessing.apply` on the whole image,
    except for blocks that `background` skips. Finished blocks are kept in a hidden folder beside
    the target until the target is in place: a call that was interrupted at any moment is resumed
    by repeating it.

    Args:
        image: The image.
        model: The model.
        target: File for the labels, `(height, width)` uint8: a tiled TIFF or a Zarr array, by the
            suffix.
        probabilities: File for the calibrated probabilities, `(height, width)` float32 of the
            foreground, or those of several classes, planes in a TIFF and the last axis in a Zarr
            array. Skipped blocks are background with certainty.
        block: Longest edge of a block in pixels.
        background: Rule for blocks that are not predicted; None predicts all.
        pixel_size: The size of a pixel, stored in a TIFF; None where unknown.
        predict: Predicts blocks: `predict_blocks` with an executor and its model, which gives the
            same result. None: this process.
        on_block: Called after each block with the number of finished blocks and of all.

    Raises:
        InputError: The image is damaged, the suffix of a target is unknown, the disk is full,
            another process writes a target, or the unfinished blocks belong to another image, model
            or setting.
    """
    for path in (target, probabilities):
        if path is not None:
            check_target(path)
    if target == probabilities:
        raise InputError(target, "labels and probabilities have one target", "Give them two names")
    from unetflow.inference.blockwise.block_store import BlockStore  # imports Zarr

    with lock_targets(target, probabilities):
        grid = plan_blocks(*image.shape[:2], model.geometry, model.tile, block)
        identity = {
            **image.identity,
            **model.describe(),
            "block": block,
            "background": None if background is None else background.model_dump(),
            "probabilities": probabilities is not None,
        }
        store = BlockStore(target.with_name(f".{target.name}.unfinished"), identity, grid)
        missing = [one for one in grid.blocks if not store.is_done(one)]
        number = len(grid.blocks)
        found = number - len(missing)
        for done in range(found):
            on_block(done + 1, number)
        options = BlockOptions(background, probabilities is not None)
        predict = predict or partial(predict_locally, model)
        for done, (one, result) in enumerate(predict(image, options, missing), found + 1):
            store.add(one, result)
            on_block(done, number)
        if probabilities is not None:
            store.write_probabilities(probabilities, pixel_size)
        store.write_labels(target, model.postprocessing.min_object_size, pixel_size)
        store.remove()
        return BlockSummary(number, found, store.count_background())


class Progress:
    """Logs the progress after each tenth of the blocks, and every half minute.

    Args:
        name: Name of the image, with which lines begin.
        log: Takes the lines.
        clock: Returns the time in seconds.
    """

    def __init__(
        self, name: str, log: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._log, self._clock = name, log, clock
        self._tenths, self._last = 0, clock()

    def __call__(self, done: int, blocks: int) -> None:
        """Log a line if one is due; see `on_block` of `segment_blocks`."""
        tenths, now = 10 * done // blocks, self._clock()
        if tenths > self._tenths or now - self._last >= 30:
            percent = 100 * done // blocks
            self._log(f"{self._name}: {done} of {blocks} blocks are done ({percent} %)")
            self._tenths, self._last = tenths, now
