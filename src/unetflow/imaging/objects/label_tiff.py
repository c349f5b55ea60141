"""Masks of class indices or object numbers as TIFF files that keep the size of a pixel."""

import hashlib
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.files import replacing
from unetflow.imaging.objects.pixel_size import PixelSize

_TYPES = (np.uint8, np.uint16, np.uint32)
_IMAGEJ_UNITS = {"Å": "A", "µm": "um", "in": "inch"}
"""What ImageJ calls units of which it has a name of its own; its header is ASCII."""


def write_label_tiff(
    path: Path, values: NDArray[np.integer], pixel_size: PixelSize | None = None
) -> None:
    """Write whole numbers as one TIFF page, in one step.

    The type is the smallest of uint8, uint16 and uint32 that holds the values. The first two have
    the header of ImageJ. ImageJ has no uint32, so that these have the header of OME, which Fiji
    opens by Bio-Formats. Both are compressed by zlib, without loss.

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
    header = _ome_header if pixels.dtype == np.uint32 else _imagej_header
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            pixels,
            photometric="minisblack",
            compression="zlib",
            **header(pixels, pixel_size),
        )


def _imagej_header(pixels: NDArray[np.generic], size: PixelSize | None) -> dict[str, Any]:
    # So that the few classes of a mask are not shown as the darkest of 256 greys
    metadata: dict[str, Any] = {"axes": "YX", "min": 0.0, "max": float(max(pixels.max(), 1))}
    if size is None:
        return {"imagej": True, "metadata": metadata}
    metadata["unit"] = _IMAGEJ_UNITS.get(size.unit, size.unit)
    return {
        "imagej": True,
        "metadata": metadata,
        "resolution": (1 / size.x, 1 / size.y),
        "resolutionunit": "NONE",
    }


def _ome_header(pixels: NDArray[np.generic], size: PixelSize | None) -> dict[str, Any]:
    # The same pixels give the same file: its identity comes from them, not from the clock.
    digest = hashlib.sha256(pixels.tobytes()).digest()
    metadata: dict[str, Any] = {"axes": "YX", "UUID": str(uuid.UUID(bytes=digest[:16]))}
    if size is None:
        return {"ome": True, "metadata": metadata}
    metadata |= {f"PhysicalSize{axis}Unit": size.unit for axis in "XY"}
    metadata |= {"PhysicalSizeX": size.x, "PhysicalSizeY": size.y}
    centimetres = size.in_unit("cm")
    return {
        "ome": True,
        "metadata": metadata,
        "resolution": (1 / centimetres.x, 1 / centimetres.y),
        "resolutionunit": "CENTIMETER",
    }
