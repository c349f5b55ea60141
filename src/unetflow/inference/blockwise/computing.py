"""The blocks of a large image, computed here or by the workers of a runner."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from unetflow.config.background import BackgroundRule
from unetflow.core.errors import InputError
from unetflow.core.types import Label, Probabilities
from unetflow.inference.blockwise.blocks import Block, BlockModel, predict_block
from unetflow.inference.executor import Context, Executor, TaskFunction
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
    executor: Executor[Context], as_model: Callable[[Context], BlockModel]
) -> ComputeBlocks:
    """Return a function that computes blocks with an executor.

    Each process opens the image's file itself, so pixels are not sent: all machines of a cluster
    must have the file under the same path.

    Args:
        executor: The executor.
        as_model: Returns the model for the executor's context; picklable.

    Example:
        ```python
        segment_blocks(image, as_model(segmenter), target, compute=compute_by(executor, as_model))
        ```
    """

    def compute(
        image: LazyImage, model: BlockModel, terms: BlockTerms, blocks: Iterable[Block]
    ) -> Iterator[tuple[Block, BlockResult]]:
        if image.reopen is None:
            raise InputError(
                "image", "it is not a file that workers can open", "Open it with `open_large`"
            )
        function = _ComputeBlock(image.reopen, image.identity, as_model, terms)
        for block, result in executor.map(function, blocks, in_order=False):
            if isinstance(result, InputError):
                raise InputError(
                    result.where,
                    f"{result.problem} (block {block.rows[0]}:{block.rows[1]}, "
                    f"{block.columns[0]}:{block.columns[1]}; those that are done are kept)",
                    result.fix,
                ) from result
            yield block, result

    return compute


@dataclass
class _ComputeBlock(TaskFunction[Context, Block, BlockResult]):
    """Computes a block of an image file, which each process opens once.

    Attributes:
        reopen: Opens the image.
        identity: The image's identity in the process that asks for the blocks.
        as_model: See `compute_by`.
        terms: How the blocks are computed.
    """

    reopen: Callable[[], LazyImage]
    identity: Mapping[str, Any]
    as_model: Callable[[Context], BlockModel]
    terms: BlockTerms
    _opened: tuple[LazyImage, BlockModel] | None = None

    def __call__(self, context: Context, task: Block) -> BlockResult:
        if self._opened is None:
            self._opened = self._open(), self.as_model(context)
        return compute_block(*self._opened, self.terms, task)

    def _open(self) -> LazyImage:
        image = self.reopen()
        if image.identity != self.identity:
            image.close()
            raise InputError(
                image.where,
                "a worker finds another file there",
                "Let all workers see the same files under the same paths",
            )
        return image

    def close(self) -> None:
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None
