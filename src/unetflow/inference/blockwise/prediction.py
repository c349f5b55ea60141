"""Prediction of the blocks of a large image, in this process or by an executor."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.crops import mirrored_places
from unetflow.config.mask_export import BackgroundParameters
from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.core.types import Label, Probabilities
from unetflow.inference.blockwise.blocks import Block
from unetflow.inference.executor import Context, Executor, TaskFunction
from unetflow.inference.postprocessing import Postprocessing
from unetflow.io.lazy_image import LazyImage
from unetflow.tiling.windows import Window


@dataclass(frozen=True)
class BlockModel:
    """A model that predicts windows, and what turns their probabilities into labels.

    Attributes:
        predictor: Turns windows `(1, height, width, channels)` into probabilities
            `(1, height, width, classes)` float32, or into labels `(1, height, width)` uint8,
            smaller by the shrinking of valid convolutions.
        geometry: Geometry of the predictor's network.
        tile: Longest edge of a window.
        postprocessing: How probabilities become a label.
        identity: Changes when the predictor changes; values that JSON can hold.
    """

    predictor: Callable[[NDArray[np.generic]], NDArray[Any]]
    geometry: Geometry
    tile: int
    postprocessing: Postprocessing
    identity: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Return everything that the labels of a block depend on; small objects are still there."""
        return {
            "model": dict(self.identity),
            "geometry": asdict(self.geometry),
            "tile": self.tile,
            **self.postprocessing.model_dump(exclude={"min_object_size", "objects"}),
        }


@dataclass(frozen=True)
class BlockOptions:
    """Options of the prediction of a block.

    Attributes:
        background: Rule for blocks that are skipped; None skips none.
        probabilities: Whether probabilities are wanted besides labels.
    """

    background: BackgroundParameters | None
    probabilities: bool


@dataclass(frozen=True)
class BlockResult:
    """Result of a block.

    Attributes:
        label: `(height, width)` uint8, class indices with all small objects; None where the block
            was skipped.
        probabilities: `(height, width, classes)` float32, calibrated; None where not wanted.
    """

    label: Label | None
    probabilities: Probabilities | None = None


PredictBlocks: TypeAlias = Callable[
    [LazyImage, BlockOptions, Iterable[Block]], Iterator[tuple[Block, BlockResult]]
]
"""Predicts blocks of an image, and yields each with its result in any order."""


def predict_block(
    image: LazyImage, model: BlockModel, options: BlockOptions, block: Block
) -> BlockResult:
    """Predict one block.

    Raises:
        InputError: The image is damaged, or the predictor returns labels and not the probabilities
            that are wanted.
    """
    rule = options.background
    if rule is not None and rule.is_background(image.read(block.rows, block.columns)):
        return BlockResult(None)
    found = _predict_windows(image, model, block)
    if found.ndim == 3:
        probabilities = model.postprocessing.calibrate(found)
        label = model.postprocessing.classify(probabilities)
        return BlockResult(label, probabilities if options.probabilities else None)
    if options.probabilities:
        raise InputError(
            "probabilities", "the predictor gives labels, no probabilities", "Leave them out"
        )
    return BlockResult(found.astype(np.uint8, copy=False))


def _predict_windows(image: LazyImage, model: BlockModel, block: Block) -> NDArray[Any]:
    rows, columns = block.windows
    top, left, shrink = rows[0].start, columns[0].start, model.geometry.shrink
    padded = read_mirrored(
        image, (top - shrink, rows[-1].stop - top), (left - shrink, columns[-1].stop - left)
    )
    result: NDArray[Any] | None = None
    for r, c in product(rows, columns):
        window = padded[r.start - top : r.stop - top, c.start - left : c.stop - left]
        (output,) = model.predictor(np.ascontiguousarray(window)[np.newaxis])
        if result is None:
            result = np.empty((*block.shape, *output.shape[2:]), output.dtype)
        _copy_kept(output, result, block, r, c)
    assert result is not None  # noqa: S101 - a block has at least one window
    return result


def _copy_kept(
    output: NDArray[Any], result: NDArray[Any], block: Block, row: Window, column: Window
) -> None:
    """Copy the part of a window's output that this window decides and that lies in the image."""
    source, target = [], []
    for window, (first, last) in ((row, block.rows), (column, block.columns)):
        stop = min(window.keep_stop, last)
        source.append(slice(window.keep_start - window.start, stop - window.start))
        target.append(slice(window.keep_start - first, stop - first))
    result[tuple(target)] = output[tuple(source)]


def read_mirrored(
    image: LazyImage, rows: tuple[int, int], columns: tuple[int, int]
) -> NDArray[np.generic]:
    """Read a window that may reach beyond the image, which is continued by mirroring.

    Args:
        image: The image.
        rows: First row, and number of rows.
        columns: First column, and number of columns.

    Returns:
        `(rows, columns, channels)`, as cut from the result of `crops.pad_mirrored`.
    """
    places = [
        mirrored_places(first, count, length)
        for (first, count), length in zip((rows, columns), image.shape[:2], strict=True)
    ]
    bounds = [(int(p.min()), int(p.max()) + 1) for p in places]
    pixels = image.read(*bounds)
    if all(len(p) == stop - start for p, (start, stop) in zip(places, bounds, strict=True)):
        return pixels
    return pixels[np.ix_(*(p - start for p, (start, _) in zip(places, bounds, strict=True)))]


def predict_locally(
    model: BlockModel, image: LazyImage, options: BlockOptions, blocks: Iterable[Block]
) -> Iterator[tuple[Block, BlockResult]]:
    """Predict blocks one after the other in this process."""
    for block in blocks:
        yield block, predict_block(image, model, options, block)


def predict_blocks(
    executor: Executor[Context],
    as_model: Callable[[Context], BlockModel],
    image: LazyImage,
    options: BlockOptions,
    blocks: Iterable[Block],
) -> Iterator[tuple[Block, BlockResult]]:
    """Predict blocks with an executor.

    Each process opens the image's file itself, so pixels are not sent: all machines of a cluster
    must have the file under the same path.

    Args:
        executor: The executor.
        as_model: Returns the model for the executor's context; picklable.
        image: The image.
        options: Options of the prediction.
        blocks: The blocks.

    Yields:
        Each block with its result, as they are completed.

    Raises:
        InputError: The image is not a file, or one of the blocks cannot be predicted.
    """
    if image.reopen is None:
        raise InputError(
            "image", "it is not a file that workers can open", "Open it with `open_large`"
        )
    function = _PredictBlock(image.reopen, image.identity, as_model, options)
    for block, result in executor.map(function, blocks, in_order=False):
        if isinstance(result, InputError):
            raise InputError(
                result.where,
                f"{result.problem} (block {block.rows[0]}:{block.rows[1]}, "
                f"{block.columns[0]}:{block.columns[1]}; those that are done are kept)",
                result.fix,
            ) from result
        yield block, result


@dataclass
class _PredictBlock(TaskFunction[Context, Block, BlockResult]):
    """Predicts a block of an image file, which each process opens once.

    Attributes:
        reopen: Opens the image.
        identity: The image's identity in the process that wants the blocks.
        as_model: See `predict_blocks`.
        options: Options of the prediction.
    """

    reopen: Callable[[], LazyImage]
    identity: Mapping[str, Any]
    as_model: Callable[[Context], BlockModel]
    options: BlockOptions
    _opened: tuple[LazyImage, BlockModel] | None = None

    def __call__(self, context: Context, task: Block) -> BlockResult:
        if self._opened is None:
            self._opened = self._open(), self.as_model(context)
        return predict_block(*self._opened, self.options, task)

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
