"""TIFF, through tifffile."""

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.readers.raster import check_size


def read_tiff(path: Path, max_pixels: int, *, indices: bool) -> NDArray[np.generic]:
    """Read the one image of a TIFF file as its numbers are stored; a channel axis goes last."""
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        page = series.keyframe
        check_size(path, page.imagewidth, page.imagelength, max_pixels)
        # Axes by tifffile's letters: Y, X, C and S (channels and samples); the rest are stacks.
        kept = [
            (axis, size)
            for axis, size in zip(series.axes, series.shape, strict=True)
            if size > 1 or axis in "YX"
        ]
        axes = "".join(axis for axis, _ in kept)
        if axes.strip("CSYX") or {"C", "S"} <= set(axes) or len(file.series) > 1:
            raise InputError(
                path,
                f"it holds {len(file.pages)} pages (axes {series.axes}) instead of one image",
                "Save each page as a file of its own",
            )
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and not indices:
            raise InputError(path, "its colours are a palette", "Save it as grey or RGB")
        pixels = series.asarray().reshape([size for _, size in kept])
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    channel_axis = max(axes.find("C"), axes.find("S"))
    return pixels if channel_axis < 0 else np.moveaxis(pixels, channel_axis, -1)
