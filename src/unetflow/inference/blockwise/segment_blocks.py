"""Segmentation of images larger than memory, block by block."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unetflow.config.mask_export import MaskExportParameters
from unetflow.core.errors import InputError
from unetflow.inference.blockwise.image_blocks import PredictBlock, plan_blocks
from unetflow.inference.blockwise.result_files import check_targets, lock_targets
from unetflow.inference.executor import Executor
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.confidence import ObjectConfidence
from unetflow.instances.large_objects import LargeObjects
from unetflow.instances.watershed import PartRule
from unetflow.io.lazy_image import LazyImage

if TYPE_CHECKING:
    from unetflow.inference.blockwise.block_store import BlockStore

BLOCK = 2048
"""Longest edge of a block in pixels."""
LONGEST_WINDOW = 512
"""Edge of a window in pixels. Longer windows overlap less, but here memory counts more."""
_DEFAULTS = MaskExportParameters()


class BlockSummary(NamedTuple):
    """Number of blocks of an image, by what became of them.

    Attributes:
        blocks: All blocks.
        found: Blocks that an earlier call had finished.
        skipped: Blocks that were taken for background.
        objects: The objects of the image; None where they are not wanted.
    """

    blocks: int
    found: int
    skipped: int
    objects: LargeObjects | None = None


def segment_blocks(
    segmenter: Segmenter,
    image: LazyImage,
    target: Path,
    *,
    probabilities: Path | None = None,
    instances: Path | None = None,
    wanted: MaskExportParameters = _DEFAULTS,
    executor: Executor[Segmenter] | None = None,
    block: int = BLOCK,
    on_block: Callable[[int, int], None] = lambda done, blocks: None,
) -> BlockSummary:
    """Segment an image of any size in bounded memory; the result is that of the whole image.

    Finished blocks are kept in a hidden folder beside the target until the target is in place: a
    call that was interrupted at any moment is resumed by repeating it.

    Args:
        segmenter: The segmenter.
        image: The image, as `io.image_file.open_large` opens it.
        target: File for the labels, a tiled TIFF or a Zarr array, by the suffix: `(height, width)`
            uint8. A TIFF gets the image's pixel size.
        probabilities: File for the calibrated probabilities, float32: `(height, width)` of the
            foreground, or of several classes, planes in a TIFF and the last axis in a Zarr array.
        instances: File for the number of each pixel's object, uint32, where `wanted` has a rule for
            objects; see `object_numbers`.
        wanted: The views; the rule for objects; and which blocks are not predicted, but background
            with certainty.
        executor: Predicts the blocks; its context is the segmenter. None: this process.
        block: Longest edge of a block in pixels.
        on_block: Called after each block with the number of finished blocks and of all.

    Raises:
        InputError: The image is damaged or does not fit, a target's suffix is unknown, the disk is
            full, another process writes a target, or the blocks belong to another segmentation.
    """
    segmenter.require_fitting(image.shape, image.dtype)
    check_targets(target, probabilities, instances)
    has_landscape = bool(segmenter.settings.object_outputs)
    separating = segmenter.postprocessing.with_objects(wanted.objects)
    rule, confidence = separating.part_rule(has_landscape), separating.valid_confidence
    if instances is None:
        rule = confidence = None
    rates = confidence is not None
    with lock_targets(target, probabilities, instances):
        function = PredictBlock(
            image,
            wanted.views,
            wanted.large.background,
            probabilities is not None,
            rule is not None and (rule.needs_landscape or (rates and has_landscape)),
            rates,
        )
        store = _open_store(segmenter, image, function, target, block)
        summary = _fill(store, function, segmenter, executor, on_block)
        if probabilities is not None:
            store.write_probabilities(probabilities, image.pixel_size)
        if instances is not None and rule is not None:
            objects = _write_objects(store, image, instances, rule, confidence)
            summary = summary._replace(objects=objects)
        store.write_labels(target, image.pixel_size)
        store.remove()
        return summary


def _write_objects(
    store: "BlockStore",
    image: LazyImage,
    target: Path,
    rule: PartRule,
    confidence: ObjectConfidence | None,
) -> LargeObjects:
    """Write the numbers of the objects, and return the objects with their confidences."""
    found = store.write_instances(target, rule, image.pixel_size)
    rated = None
    if confidence is not None:
        rated = confidence.rate(store.gather_evidence(len(found.classes)))
    return LargeObjects(target, image.shape[:2], *found, rated)


def _open_store(
    segmenter: Segmenter, image: LazyImage, function: PredictBlock, target: Path, block: int
) -> "BlockStore":
    from unetflow.inference.blockwise.block_store import BlockStore  # imports Zarr

    described, rule = describe_segmenter(segmenter, function.views), function.background
    identity = {
        **image.identity,
        **described,
        "block": block,
        "background": None if rule is None else rule.model_dump(),
        "probabilities": function.probabilities,
        **({"landscape": True} if function.landscape else {}),
        **({"certainty": True} if function.certainty else {}),
    }
    geometry = segmenter.settings.geometry
    return BlockStore(
        target.with_name(f".{target.name}.unfinished"),
        identity,
        plan_blocks(*image.shape[:2], geometry, described["tile"], block),
        landscape=function.landscape,
        certainty=function.certainty,
        min_object_size=segmenter.postprocessing.min_object_size,
    )


def describe_segmenter(segmenter: Segmenter, views: int = 1) -> dict[str, Any]:
    """Return everything for JSON that the labels of a block depend on; it has all small objects."""
    later = {"min_object_size", "removal", "fitted", "confidence", "objects"}
    settings = segmenter.settings
    return {
        "model": {**segmenter.runtime.identity, "views": views},
        "geometry": asdict(settings.geometry),
        "tile": min(settings.tile, LONGEST_WINDOW),
        **settings.postprocessing.model_dump(exclude=later),
    }


def _fill(
    store: "BlockStore",
    function: PredictBlock,
    segmenter: Segmenter,
    executor: Executor[Segmenter] | None,
    on_block: Callable[[int, int], None],
) -> BlockSummary:
    """Predict the blocks that are missing in a store."""
    if executor is not None and function.reopen is None:
        raise InputError(
            "image", "it is not a file that workers can open", "Open it with `open_large`"
        )
    missing, number = store.missing_blocks(), len(store.blocks)
    found = number - len(missing)
    for done in range(found):
        on_block(done + 1, number)
    results = (executor or Executor(segmenter)).map(function, missing, in_order=False)
    for done, (block, result) in enumerate(results, found + 1):
        if isinstance(result, InputError):
            raise InputError(
                result.where,
                f"{result.problem} (block {block.rows[0]}:{block.rows[1]}, "
                f"{block.columns[0]}:{block.columns[1]}; those that are done are kept)",
                result.fix,
            ) from result
        store.add(block, result)
        on_block(done, number)
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
