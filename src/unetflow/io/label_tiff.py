"""Masks of class indices or object numbers as TIFF files that keep the size of a pixel."""

import hashlib
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.io.pixel_size import PixelSize
from unetflow.io.tiff_headers import (
    imagej_header,
    is_ome,
    ome_header,
)

_TYPES = (np.uint8, np.uint16, np.uint32)


def write_label_tiff(
    path: Path, values: NDArray[np.integer], pixel_size: PixelSize | None = None
) -> None:
    """Write whole numbers as one TIFF page, in one step.

    The type is the smallest of uint8, uint16 and uint32 that holds the values. The header is that
    of ImageJ; or of OME where the file's name ends in `.ome.tif`, and for uint32, which ImageJ does
    not have, so that Fiji opens it by Bio-Formats. Both are compressed by zlib, without loss.

    Args:
        path: The file to make or replace.
        values: `(height, width)`: class indices or object numbers.
        pixel_size: The size of the source's pixels; None where it is not known.

    Raises:
        InputError: A value is below 0, or above what uint32 holds.
    """
    lowest, highest = int(values.min(initial=0)), int(values.max(initial=0))
    fitting = [dtype for dtype in _TYPES if highest <= np.iinfo(dtype).max]
    if lowest < 0 or not fitting:
        raise InputError(
            path,
            f"its values from {lowest} to {highest} do not fit a label",
            "Number objects from 1 on",
        )
    pixels = np.ascontiguousarray(values, fitting[0])
    if pixels.dtype == np.uint32 or is_ome(path.name):
        header = ome_header("YX", hashlib.sha256(pixels.tobytes()).digest()[:16], pixel_size)
    else:
        # So that the few classes of a mask are not shown as the darkest of 256 greys
        header = imagej_header("YX", float(max(highest, 1)), pixel_size)
    with atomic_write(path) as temporary:
        tifffile.imwrite(temporary, pixels, photometric="minisblack", compression="zlib", **header)
