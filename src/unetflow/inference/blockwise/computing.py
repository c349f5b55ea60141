"""The blocks of a large image, computed here or by the workers of a runner."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias

from unetflow.config.background import BackgroundRule
from unetflow.core.errors import InputError
from unetflow.core.types import Label, Probabilities
from unetflow.inference.blockwise.blocks import (
    Block,
    BlockModel,
    predict_block,
)
from unetflow.inference.executor import Context, Executor
from unetflow.io.lazy_image import LazyImage


@dataclass(frozen=True)
class BlockTerms:
    """How a block is computed, besides its image and its model.

    Attributes:
        batch_size: Windows for each call of the predictor.
        background: Which blocks are skipped; None: none.
        probabilities: Whether they are wanted besides the labels.
    """

    batch_size: int
    background: BackgroundRule | None
    probabilities: bool


@dataclass(frozen=True)
class BlockResult:
    """What was found in a block.

    Attributes:
        label: `(height, width)` uint8, class indices; None where the block was skipped.
        probabilities: `(height, width, classes)` float32, where they are wanted.
    """

    label: Label | None
    probabilities: Probabilities | None = None


ComputeBlocks: TypeAlias = Callable[
    [LazyImage, BlockModel, BlockTerms, Iterable[Block]], Iterable[tuple[Block, BlockResult]]
]
"""Computes blocks of an image, and yields each with its result as it is done, in any order."""


def compute_block(
    image: LazyImage, model: BlockModel, terms: BlockTerms, block: Block
) -> BlockResult:
    """Compute one block.

    Raises:
        InputError: The image is damaged, or probabilities are wanted of a predictor of labels.
    """
    rule = terms.background
    if rule is not None and rule.is_background(image.read(block.rows, block.columns)):
        return BlockResult(None)
    label, probabilities = predict_block(model, image, block, terms.batch_size)
    if not terms.probabilities:
        return BlockResult(label)
    if probabilities is None:
        raise InputError(
            "probabilities", "the predictor gives labels, no probabilities", "Leave them out"
        )
    return BlockResult(label, probabilities)


def compute_here(
    image: LazyImage, model: BlockModel, terms: BlockTerms, blocks: Iterable[Block]
) -> Iterator[tuple[Block, BlockResult]]:
    """Compute one block after the other in this process; see `ComputeBlocks`."""
    for block in blocks:
        yield block, compute_block(image, model, terms, block)


def compute_by(
    runner: Executor[Context], as_model: Callable[[Context], BlockModel]
) -> ComputeBlocks:
    """Return what lets a runner compute the blocks.

    Whoever takes part opens the image's file itself, so that pixels need not be sent: a cluster of
    several machines must see the file under the same path.

    Args:
        runner: The runner.
        as_model: Makes the same model of what its jobs share; it must be such that it can be sent.

    Example:
        ```python
        segment_blocks(image, as_model(segmenter), target, compute=compute_by(runner, as_model))
        ```
    """

    def compute(
        image: LazyImage, model: BlockModel, terms: BlockTerms, blocks: Iterable[Block]
    ) -> Iterator[tuple[Block, BlockResult]]:
        if image.reopen is None:
            raise InputError(
                "image", "it is no file that others could open", "Open it with `open_large`"
            )
        job = _BlockJob(image.reopen, image.identity, as_model, terms)
        for block, result in runner.call_each(job, blocks, in_order=False):
            if isinstance(result, InputError):
                raise InputError(
                    result.where,
                    f"{result.problem} (block {block.rows[0]}:{block.rows[1]}, "
                    f"{block.columns[0]}:{block.columns[1]}; those that are done are kept)",
                    result.fix,
                ) from result
            yield block, result

    return compute


@dataclass(frozen=True)
class _BlockJob(Generic[Context]):
    """A job for `Executor.call_each`, whose tasks are blocks.

    Attributes:
        reopen: Opens the image.
        identity: Of the image as whoever wants the blocks sees it.
        as_model: See `compute_by`.
        terms: How the blocks are computed.
    """

    reopen: Callable[[], LazyImage]
    identity: Mapping[str, Any]
    as_model: Callable[[Context], BlockModel]
    terms: BlockTerms

    @contextmanager
    def __call__(self, context: Context) -> Iterator[Callable[[Block], BlockResult]]:
        with self.reopen() as image:
            if image.identity != self.identity:
                raise InputError(
                    image.where,
                    "a worker finds another file there",
                    "Let all workers see the same files under the same paths",
                )
            model = self.as_model(context)
            yield lambda block: compute_block(image, model, self.terms, block)
