"""Segmenting an image that is larger than the memory, block by block."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetflow.config.background import BackgroundRule
from unetflow.core.atomic import move_into_place
from unetflow.core.errors import InputError
from unetflow.core.types import Label
from unetflow.inference.blockwise.assembly import Mosaic, check_target, write_mosaic
from unetflow.inference.blockwise.blocks import Block, BlockModel, Grid, plan_blocks
from unetflow.inference.blockwise.computing import BlockTerms, ComputeBlocks, compute_here
from unetflow.inference.blockwise.locking import alone_with
from unetflow.inference.blockwise.small_objects import SmallObjects
from unetflow.inference.blockwise.unfinished import UnfinishedBlocks
from unetflow.io.lazy_image import LazyImage
from unetflow.io.pixel_size import PixelSize

BLOCK = 2048
"""Edge of a block in pixels."""


@dataclass(frozen=True)
class BlockSummary:
    """What was done.

    Attributes:
        blocks: How many blocks there are.
        found: How many of them an earlier call had finished.
        skipped: How many were taken for background, unpredicted.
    """

    blocks: int
    found: int
    skipped: int


def segment_blocks(
    image: LazyImage,
    model: BlockModel,
    target: Path,
    *,
    probabilities: Path | None = None,
    block: int = BLOCK,
    batch_size: int = 1,
    background: BackgroundRule | None = None,
    pixel_size: PixelSize | None = None,
    compute: ComputeBlocks = compute_here,
    on_block: Callable[[int, int], None] = lambda done, blocks: None,
) -> BlockSummary:
    """Segment an image of any size in bounded memory.

    The result is that of `tiling.predict_tiled` and `Postprocessing.apply` on the whole image, but
    for blocks that `background` skips. Finished blocks are kept in a hidden folder beside the
    target: a call that was interrupted resumes from them when it is repeated, and the folder is
    removed once the target is in its place.

    Args:
        image: The image.
        model: What turns windows into labels.
        target: Where the labels shall be, `(height, width)` uint8: a tiled TIFF or a Zarr array,
            by the ending.
        probabilities: Where the calibrated probabilities `(height, width, classes)` float32 shall
            be, `(height, width)` where there is the foreground's alone; None: nowhere. In a TIFF
            the classes are its planes. A skipped block is background for certain.
        block: Longest edge of a block in pixels; one window is a block in any case.
        batch_size: Windows for each call of the predictor.
        background: Which blocks are skipped; None: none.
        pixel_size: The size of a pixel, which a TIFF is told; None where it is not known.
        compute: Who computes the blocks, see `computing.compute_by`; the result is the same.
        on_block: Called after each block with how many are done, and with their number.

    Raises:
        InputError: The image is damaged, a target has an ending that is not known, the disk is
            full, another process is writing a target, or what was begun is of another image, model
            or setting.
    """
    for path in (target, probabilities):
        if path is not None:
            check_target(path)
    if target == probabilities:
        raise InputError(target, "labels and probabilities have one target", "Give them two names")
    with alone_with(target, probabilities):
        height, width, _ = image.shape
        grid = plan_blocks(height, width, model.geometry, model.tile, block)
        identity = {
            **image.identity,
            **model.describe(),
            "block": block,
            "background": None if background is None else asdict(background),
            "probabilities": probabilities is not None,
        }
        store = UnfinishedBlocks(target.with_name(f".{target.name}.unfinished"), identity)
        missing = [one for one in grid.blocks if not store.has(one)]
        found = len(grid.blocks) - len(missing)
        for done in range(found):
            on_block(done + 1, len(grid.blocks))
        terms = BlockTerms(batch_size, background, probabilities is not None)
        for done, (one, result) in enumerate(compute(image, model, terms, missing), found):
            if result.label is None:
                store.add_background(one)
            else:
                store.add(one, result.label, result.probabilities)
            on_block(done + 1, len(grid.blocks))
        skipped = sum(store.is_background(one) for one in grid.blocks)
        if probabilities is not None:
            image_of_them = _mosaic_of_probabilities(store, grid, (height, width))
            _assemble(store, probabilities, image_of_them, pixel_size)
        labels = _mosaic_of_labels(
            store, grid, (height, width), model.postprocessing.min_object_size
        )
        _assemble(store, target, labels, pixel_size)
        store.remove()
        return BlockSummary(len(grid.blocks), found, skipped)


def _mosaic_of_labels(
    store: UnfinishedBlocks, grid: Grid, shape: tuple[int, int], minimum: int
) -> Mosaic:
    objects = SmallObjects(grid, store.label, minimum)
    columns = grid.shape[1]

    # A row of tiles may lie in two rows of blocks, each of which is cleaned once.
    @lru_cache(maxsize=2 * columns)
    def clean(place: tuple[int, int]) -> Label:
        return objects.clean(grid.blocks[place[0] * columns + place[1]])

    return Mosaic(grid, lambda block: clean(block.place), shape, np.uint8)


def _mosaic_of_probabilities(store: UnfinishedBlocks, grid: Grid, shape: tuple[int, int]) -> Mosaic:
    found = (store.probabilities(block) for block in grid.blocks)
    classes = next((pixels.shape[2] for pixels in found if pixels is not None), 1)
    if classes > 1:
        certain = np.eye(1, classes, dtype=np.float32)[0]
        return Mosaic(grid, store.probabilities, (*shape, classes), np.float32, certain)

    def flat(block: Block) -> NDArray[np.float32] | None:
        pixels = store.probabilities(block)
        return None if pixels is None else pixels[:, :, 0]

    return Mosaic(grid, flat, shape, np.float32)


def _assemble(
    store: UnfinishedBlocks, target: Path, mosaic: Mosaic, pixel_size: PixelSize | None
) -> None:
    """Write a file among the blocks, which a kill leaves to be removed with them, and move it."""
    finished = store.folder / f"assembled_{target.name}"
    try:
        write_mosaic(finished, mosaic, store.digest(mosaic.dtype.name), pixel_size)
        move_into_place(finished, target)
    except OSError as error:
        raise InputError(
            target,
            f"it cannot be written ({error.strerror}); all blocks are kept",
            "Make room on the disk, and start again: only the file is made anew",
        ) from error
