"""TIFF and OME-TIFF, through tifffile."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.files import File
from unetflow.imaging.readers.bounds import check_size
from unetflow.imaging.readers.raster import drop_alpha

_CHANNEL_AXES = "CS"
"""Tifffile's letters of channels and of samples within a pixel; Y and X are rows and columns."""
_TURNS = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}
"""What makes an image upright, by the tag Orientation (TIFF 6.0, section 8)."""
_MAX_PAGES = 1_000_000


def read_tiff(
    file: File, max_pixels: int, *, page: int | None, indices: bool
) -> NDArray[np.generic]:
    """Read one image of a TIFF file as its numbers are stored; channels go last.

    Raises:
        InputError: It holds several images and `page` does not say which one.
    """
    with _open(file) as tiff:
        series, pages = _only_series(file, tiff), _count(file, tiff)
        keyframe = series.keyframe
        channels = math.prod(size for axis, size in _axes(series) if axis in _CHANNEL_AXES)
        check_size(file, keyframe.imagewidth, keyframe.imagelength, max_pixels, channels)
        if page is None and pages > 1:
            raise InputError(
                file,
                f"it holds {pages} pages (axes {series.axes}) instead of one image",
                "Use the layout `stacks`, or save each page as a file of its own",
            )
        if page is not None and page >= pages:
            raise InputError(file, f"it has {pages} pages, no page {page}", "Export it again")
        pixels = _read_page(series, page or 0)
        if keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE and not indices:
            pixels = _apply_palette(pixels, keyframe.colormap)
        if pixels.ndim == 3 and any(kind in (1, 2) for kind in keyframe.extrasamples[-1:]):
            pixels = drop_alpha(file, pixels)
        orientation = keyframe.tags.valueof("Orientation", default=1)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    return _TURNS[orientation](pixels) if orientation in _TURNS else pixels


def count_pages(file: File) -> int:
    """Return how many images a TIFF file holds, its channels not counted.

    Raises:
        InputError: It cannot be read as one image or as one stack.
    """
    with _open(file) as tiff:
        return _count(file, tiff)


@contextmanager
def _open(file: File) -> Iterator[tifffile.TiffFile]:
    with file.open("rb") as opened, tifffile.TiffFile(opened, name=str(file)) as tiff:
        yield tiff


def _only_series(file: File, tiff: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    if len(tiff.series) > 1:
        raise InputError(
            file,
            f"it holds {len(tiff.series)} images of different kinds",
            "Save each one as a file of its own",
        )
    return tiff.series[0]


def _axes(series: tifffile.TiffPageSeries) -> list[tuple[str, int]]:
    return list(zip(series.axes, series.shape, strict=True))


def _count(file: File, tiff: tifffile.TiffFile) -> int:
    series = _only_series(file, tiff)
    pages = math.prod(size for axis, size in _axes(series) if axis not in "YX" + _CHANNEL_AXES)
    if pages > _MAX_PAGES:
        raise InputError(file, f"it claims to hold {pages} pages", "Split it into several files")
    return pages


def _read_page(series: tifffile.TiffPageSeries, page: int) -> NDArray[np.generic]:
    """Read one image of a series: a selection of all axes that are neither space nor channels."""
    axes = _axes(series)
    stacked = [size for axis, size in axes if axis not in "YX" + _CHANNEL_AXES]
    position = iter(np.unravel_index(page, stacked) if stacked else ())
    selection = tuple(
        slice(None) if axis in "YX" + _CHANNEL_AXES else int(next(position)) for axis, _ in axes
    )
    left = [axis for axis, _ in axes if axis in "YX" + _CHANNEL_AXES]
    pixels = _select(series, selection)
    spatial = [left.index("Y"), left.index("X")]
    others = [number for number in range(len(left)) if number not in spatial]
    pixels = pixels.transpose(*spatial, *others)
    channels = math.prod(pixels.shape[2:])
    return (
        pixels.reshape(*pixels.shape[:2], channels)
        if channels > 1
        else pixels.reshape(pixels.shape[:2])
    )


def _select(
    series: tifffile.TiffPageSeries, selection: tuple[slice | int, ...]
) -> NDArray[np.generic]:
    """Read a part of a series, and only the pages that it lies in."""
    within = series.keyframe.ndim
    outer_shape = series.shape[:-within] if within < len(series.shape) else ()
    numbers = np.arange(math.prod(outer_shape)).reshape(outer_shape)[selection[: len(outer_shape)]]
    if len(series.pages) < math.prod(outer_shape):  # one page stands for a run of them
        return np.asarray(series.asarray()[selection])
    pages = [series.pages[int(number)] for number in numbers.ravel()]
    pixels = np.stack([page.asarray() for page in pages])
    pixels = pixels.reshape(*numbers.shape, *series.shape[len(outer_shape) :])
    inner = (slice(None),) * numbers.ndim + selection[len(outer_shape) :]
    return np.asarray(pixels[inner])


def _apply_palette(pixels: NDArray[np.generic], palette: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return colours for indices; palettes of TIFF have 16 bits, of which 8 are in use."""
    colours = (palette >> 8).astype(np.uint8).T
    return colours[pixels]
