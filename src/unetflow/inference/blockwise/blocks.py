"""The blocks of a large image, and the prediction of one of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.crops import mirrored_places
from unetflow.core.geometry import Geometry
from unetflow.core.types import Label, Probabilities
from unetflow.inference.postprocessing import Postprocessing
from unetflow.io.lazy_image import LazyImage
from unetflow.tiling.windows import Window, plan_windows


@dataclass(frozen=True)
class BlockModel:
    """What turns windows into labels; `inference.blockwise.segment` makes it of a segmenter.

    Attributes:
        predictor: Turns windows `(batch, height, width, channels)` into probabilities
            `(batch, height, width, classes)` float32, or into labels `(batch, height, width)`
            uint8, smaller by the shrinking of valid convolutions.
        geometry: Of the predictor's network.
        tile: Longest edge of a window.
        postprocessing: How the probabilities become a label.
        identity: What changes when the predictor changes, as plain values that JSON can hold.
    """

    predictor: Callable[[NDArray[np.generic]], NDArray[Any]]
    geometry: Geometry
    tile: int
    postprocessing: Postprocessing
    identity: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Return all that the labels of a block depend on; small objects are removed later."""
        return {
            "model": dict(self.identity),
            "geometry": asdict(self.geometry),
            "tile": self.tile,
            **self.postprocessing.model_dump(exclude={"min_object_size"}),
        }


@dataclass(frozen=True)
class Block:
    """A part of the image that is predicted and stored by itself.

    Attributes:
        place: Its row and its column among the blocks.
        rows: First row of the image, and one after the last.
        columns: The same of the columns.
        windows: The windows along both axes, which lie beyond it for context.
    """

    place: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    windows: tuple[Sequence[Window], Sequence[Window]]

    @property
    def shape(self) -> tuple[int, int]:
        """Its height and width."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]


@dataclass(frozen=True)
class Grid:
    """All blocks of an image.

    Attributes:
        shape: How many blocks there are along both axes.
        blocks: In the order of rows.
    """

    shape: tuple[int, int]
    blocks: Sequence[Block]


def plan_blocks(height: int, width: int, geometry: Geometry, tile: int, edge: int) -> Grid:
    """Cut an image into blocks along the windows of `tiling.predict_tiled`.

    A block is a group of neighbouring windows of the whole image's own plan. So a pixel is decided
    by the same window as if the image had been predicted at once.

    Args:
        height: Of the image.
        width: Of the image.
        geometry: Of the network.
        tile: Longest edge of a window.
        edge: Longest edge of a block; one window is a block in any case.
    """
    rows, columns = (
        _group(plan_windows(length, geometry, tile), edge) for length in (height, width)
    )
    blocks = [
        Block((r, c), _cover(rows[r], height), _cover(columns[c], width), (rows[r], columns[c]))
        for r, c in product(range(len(rows)), range(len(columns)))
    ]
    return Grid((len(rows), len(columns)), blocks)


def _group(windows: Sequence[Window], edge: int) -> list[list[Window]]:
    groups = [[windows[0]]]
    for window in windows[1:]:
        if window.keep_stop - groups[-1][0].keep_start > edge:
            groups.append([])
        groups[-1].append(window)
    return groups


def _cover(windows: Sequence[Window], length: int) -> tuple[int, int]:
    return windows[0].keep_start, min(windows[-1].keep_stop, length)


def predict_block(
    model: BlockModel, image: LazyImage, block: Block, batch_size: int
) -> tuple[Label, Probabilities | None]:
    """Predict one block.

    Returns:
        `(height, width)` uint8 class indices with all small objects, and the calibrated
        probabilities `(height, width, classes)`, None where the predictor gives labels.
    """
    rows, columns = block.windows
    padded = read_mirrored(
        image,
        *((w[0].start - model.geometry.shrink, w[-1].stop - w[0].start) for w in (rows, columns)),
    )
    top, left = rows[0].start, columns[0].start
    windows = list(product(rows, columns))
    found: NDArray[Any] | None = None
    for first in range(0, len(windows), batch_size):
        batch = windows[first : first + batch_size]
        outputs = model.predictor(
            np.stack(
                [
                    padded[r.start - top : r.stop - top, c.start - left : c.stop - left]
                    for r, c in batch
                ]
            )
        )
        if found is None:
            found = np.empty((*block.shape, *outputs.shape[3:]), outputs.dtype)
        for (r, c), output in zip(batch, outputs, strict=True):
            _keep(found, output, block, r, c)
    assert found is not None  # noqa: S101 - a block has at least one window
    if found.ndim == 2:
        return found.astype(np.uint8, copy=False), None
    probabilities = model.postprocessing.calibrate(found)
    return model.postprocessing.classify(probabilities), probabilities


def _keep(found: NDArray[Any], output: NDArray[Any], block: Block, r: Window, c: Window) -> None:
    """Take of a window's output what it decides and the image holds."""
    source, target = [], []
    for window, (first, last) in ((r, block.rows), (c, block.columns)):
        stop = min(window.keep_stop, last)
        source.append(slice(window.keep_start - window.start, stop - window.start))
        target.append(slice(window.keep_start - first, stop - first))
    found[tuple(target)] = output[tuple(source)]


def read_mirrored(
    image: LazyImage, rows: tuple[int, int], columns: tuple[int, int]
) -> NDArray[np.generic]:
    """Read a window that may lie beyond the image, which is continued by mirroring.

    Args:
        image: The image.
        rows: The first one, and how many.
        columns: The same.

    Returns:
        `(rows, columns, channels)`, as cut from what `crops.pad_mirrored` gives.
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
