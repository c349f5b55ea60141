"""Probabilities of classes as TIFF files that keep the size of a pixel."""

import hashlib
from pathlib import Path

import numpy as np
import tifffile

from unetflow.core.atomic import atomic_write
from unetflow.core.types import Probabilities
from unetflow.io.pixel_size import PixelSize
from unetflow.io.tiff_headers import (
    imagej_header,
    is_ome,
    ome_header,
)


def write_probability_tiff(
    path: Path, probabilities: Probabilities, pixel_size: PixelSize | None = None
) -> None:
    """Write probabilities as float32, in one step, compressed by zlib, without loss.

    The header is that of ImageJ, or of OME where the file's name ends in `.ome.tif`.

    Args:
        path: The file to make or replace.
        probabilities: `(height, width, classes)`. Several classes are channels `(classes, height,
            width)` in the file; one, the foreground's alone, is a plain image.
        pixel_size: The size of the source's pixels; None where it is not known.
    """
    pixels = np.ascontiguousarray(np.moveaxis(probabilities, 2, 0), np.float32)
    pixels = pixels[0] if len(pixels) == 1 else pixels
    if is_ome(path.name):
        digest = hashlib.sha256(pixels.tobytes()).digest()[:16]
        header = ome_header("CYX"[-pixels.ndim :], digest, pixel_size)
    elif pixels.ndim == 2:
        header = imagej_header("YX", 1.0, pixel_size)
    else:  # all of ImageJ's axes, or tifffile takes images one pixel wide for others
        pixels = pixels[np.newaxis, np.newaxis, ..., np.newaxis]
        header = imagej_header("TZCYXS", 1.0, pixel_size)
    with atomic_write(path) as temporary:
        tifffile.imwrite(temporary, pixels, photometric="minisblack", compression="zlib", **header)
