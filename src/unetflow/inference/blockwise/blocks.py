"""Blocks of a large image: groups of neighbouring windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from unetflow.core.geometry import Geometry
from unetflow.tiling.windows import Window, plan_windows


@dataclass(frozen=True)
class Block:
    """A part of an image.

    Attributes:
        place: Its row and column among the blocks.
        rows: First row of the image, and one after the last.
        columns: First column of the image, and one after the last.
        windows: The windows along both axes, which reach beyond the block for context.
    """

    place: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    windows: tuple[Sequence[Window], Sequence[Window]]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    @property
    def slices(self) -> tuple[slice, slice]:
        """The block's part of an array of the whole image."""
        return slice(*self.rows), slice(*self.columns)


@dataclass(frozen=True)
class Grid:
    """All blocks of an image.

    Attributes:
        shape: Number of blocks along both axes.
        blocks: The blocks, row by row.
    """

    shape: tuple[int, int]
    blocks: Sequence[Block]


def plan_blocks(height: int, width: int, geometry: Geometry, tile: int, edge: int) -> Grid:
    """Cut an image into blocks along the windows of `tiling.predict_tiled`.

    Since a block is a group of windows of the whole image's own plan, each pixel is decided by the
    same window as if the image had been predicted at once.

    Args:
        height: Height of the image.
        width: Width of the image.
        geometry: Geometry of the network.
        tile: Longest edge of a window.
        edge: Longest edge of a block, unless one window is longer.
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
