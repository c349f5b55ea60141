"""Blocks of a large image: groups of neighbouring windows, predicted one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.crops import mirrored_places
from unetflow.config.mask_export import BackgroundParameters
from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.core.types import Label, Predictor, Probabilities
from unetflow.inference.executor import TaskFunction
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.confidence import select_class
from unetflow.io.lazy_image import LazyImage
from unetflow.tiling.regions import Region
from unetflow.tiling.windows import Window, plan_windows


@dataclass(frozen=True)
class Block(Region):
    """A part of an image that is predicted at once.

    Attributes:
        windows: The windows along both axes, which reach beyond the block for context.
    """

    windows: tuple[Sequence[Window], Sequence[Window]]


class BlockResult(NamedTuple):
    """Result of a block.

    Attributes:
        label: `(height, width)` uint8, class indices with all small objects; None where the block
            was skipped.
        probabilities: `(height, width, classes)` float32, calibrated; None where not wanted.
        landscape: `(height, width)` float32, see `separation.seed_landscape`; None where not
            wanted.
        certainty: `(height, width)` float32, the probability of each pixel's class; None where not
            wanted.
    """

    label: Label | None
    probabilities: Probabilities | None = None
    landscape: NDArray[np.float32] | None = None
    certainty: NDArray[np.float32] | None = None


def plan_blocks(height: int, width: int, geometry: Geometry, tile: int, edge: int) -> list[Block]:
    """Cut an image into blocks, row by row, along the windows of `tiling.predict_tiled`.

    Since a block is a group of windows of the whole image's own plan, each pixel is decided by the
    same window as if the image had been predicted at once. A block is longer than `edge` pixels
    only where one window is, whose longest edge is `tile`.
    """
    rows, columns = (
        _group(plan_windows(length, geometry, tile), edge) for length in (height, width)
    )
    return [
        Block((r, c), _cover(rows[r], height), _cover(columns[c], width), (rows[r], columns[c]))
        for r, c in product(range(len(rows)), range(len(columns)))
    ]


def _group(windows: Sequence[Window], edge: int) -> list[list[Window]]:
    groups = [[windows[0]]]
    for window in windows[1:]:
        if window.keep_stop - groups[-1][0].keep_start > edge:
            groups.append([])
        groups[-1].append(window)
    return groups


def _cover(windows: Sequence[Window], length: int) -> tuple[int, int]:
    return windows[0].keep_start, min(windows[-1].keep_stop, length)


@dataclass
class PredictBlock(TaskFunction[Segmenter, Block, BlockResult]):
    """Predicts a block of an image; each other process opens the image's file once.

    Attributes:
        image: The image; missing in another process.
        views: Number of the 8 symmetries of a square over which probabilities are averaged.
        background: Rule for blocks that are skipped; None skips none.
        probabilities: Whether probabilities are wanted besides labels.
        landscape: Whether the landscape of the outputs for objects is wanted, too.
        certainty: Whether the probability of each pixel's class is, for the confidence of objects.
    """

    image: LazyImage | None
    views: int
    background: BackgroundParameters | None
    probabilities: bool
    landscape: bool = False
    certainty: bool = False

    def __post_init__(self) -> None:
        assert self.image is not None  # noqa: S101 - it is only missing after unpickling
        self.reopen, self._identity = self.image.reopen, self.image.identity
        self._opened: LazyImage | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "image": None}

    def __call__(self, context: Segmenter, task: Block) -> BlockResult:
        """Return a block's result; an `InputError` where the image is damaged or another one."""
        image, rule = self.image or self._open(), self.background
        if rule is not None and rule.is_background(image.read(task.rows, task.columns)):
            return BlockResult(None)
        predictor, shrink = context.predictor(self.views), context.settings.geometry.shrink
        found = _predict_windows(image, predictor, shrink, task)
        if found.ndim == 3:
            probabilities, landscape = context.split_outputs(found)
            label = context.postprocessing.classify(probabilities)
            return BlockResult(
                label,
                probabilities if self.probabilities else None,
                landscape if self.landscape else None,
                select_class(probabilities, label) if self.certainty else None,
            )
        if self.probabilities:
            raise InputError(
                "probabilities", "the predictor gives labels, no probabilities", "Leave them out"
            )
        return BlockResult(found.astype(np.uint8, copy=False))

    def _open(self) -> LazyImage:
        """Return the image that this process has opened."""
        if self._opened is None:
            assert self.reopen is not None  # noqa: S101 - else no other process gets blocks
            image = self.reopen()
            if image.identity != self._identity:
                image.close()
                raise InputError(
                    image.where,
                    "a worker finds another file there",
                    "Let all workers see the same files under the same paths",
                )
            self._opened = image
        return self._opened

    def close(self) -> None:
        """Close the image that this process has opened."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def _predict_windows(
    image: LazyImage, predictor: Predictor, shrink: int, block: Block
) -> NDArray[Any]:
    """Predict the windows of a block, and join the parts of their outputs that they decide."""
    rows, columns = block.windows
    top, left = rows[0].start, columns[0].start
    padded = read_mirrored(
        image, (top - shrink, rows[-1].stop - top), (left - shrink, columns[-1].stop - left)
    )
    result: NDArray[Any] | None = None
    for r, c in product(rows, columns):
        window = padded[r.start - top : r.stop - top, c.start - left : c.stop - left]
        (output,) = predictor(np.ascontiguousarray(window)[np.newaxis])
        if result is None:
            result = np.empty((*block.shape, *output.shape[2:]), output.dtype)
        # The last windows may decide pixels beyond the image, which the block does not have.
        part = result[
            r.keep_start - block.rows[0] : r.keep_stop - block.rows[0],
            c.keep_start - block.columns[0] : c.keep_stop - block.columns[0],
        ]
        kept = output[r.keep_start - r.start :, c.keep_start - c.start :]
        part[...] = kept[: part.shape[0], : part.shape[1]]
    assert result is not None  # noqa: S101 - a block has at least one window
    return result


def read_mirrored(
    image: LazyImage, rows: tuple[int, int], columns: tuple[int, int]
) -> NDArray[np.generic]:
    """Read a window that may reach beyond the image, which is continued by mirroring.

    Args:
        image: The image.
        rows: First row, and number of rows.
        columns: First column, and number of columns.
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
