"""Images as TIFF files: samples, labels and probabilities, each written in one step."""

import hashlib
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.core.types import Probabilities
from unetflow.io.pixel_size import PixelSize

_LABEL_TYPES = (np.uint8, np.uint16, np.uint32)
_IMAGEJ_UNITS = {"Å": "A", "µm": "um", "in": "inch"}
"""ImageJ's own names of units; its header is ASCII."""


def write_tiff(
    path: Path,
    pixels: NDArray[np.generic],
    compression: str | None = None,
    *,
    sync_folder: bool = True,
) -> None:
    """Write the pixels of an image as one TIFF page.

    Args:
        path: The file to create or replace.
        pixels: `(height, width)` or `(height, width, channels)`; three channels are RGB.
        compression: A name that tifffile knows, such as "zlib". An uncompressed file can be
            memory-mapped.
        sync_folder: See `atomic_write`.
    """
    pixels = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    is_rgb = pixels.ndim == 3 and pixels.shape[2] == 3
    extra = 0 if pixels.ndim == 2 or is_rgb else pixels.shape[2] - 1
    with atomic_write(path, sync_folder=sync_folder) as temporary:
        tifffile.imwrite(
            temporary,
            pixels,
            photometric="rgb" if is_rgb else "minisblack",
            planarconfig="contig" if pixels.ndim == 3 else None,
            extrasamples=["unspecified"] * extra or None,
            compression=compression,
            metadata=None,
        )


def write_label_tiff(
    path: Path, values: NDArray[np.integer], pixel_size: PixelSize | None = None
) -> None:
    """Write class indices or object numbers as one TIFF page, compressed by zlib.

    The type is the smallest of uint8, uint16 and uint32 that holds the values. The header is
    ImageJ's, or OME's if the file's name ends in `.ome.tif`. ImageJ has no uint32, so such files
    also get the header of OME, which Fiji opens through Bio-Formats.

    Args:
        path: The file to create or replace.
        values: `(height, width)`: class indices or object numbers.
        pixel_size: The size of the source's pixels; None if unknown.

    Raises:
        InputError: A value is negative or does not fit into uint32.
    """
    lowest, highest = int(values.min(initial=0)), int(values.max(initial=0))
    fitting = [dtype for dtype in _LABEL_TYPES if highest <= np.iinfo(dtype).max]
    if lowest < 0 or not fitting:
        raise InputError(
            path,
            f"its values from {lowest} to {highest} do not fit a label",
            "Number objects from 1 on",
        )
    pixels = np.ascontiguousarray(values, fitting[0])
    if pixels.dtype == np.uint32 or _is_ome(path):
        header = ome_header("YX", _digest(pixels), pixel_size)
    else:
        # The display range makes the few classes of a mask visible.
        header = _imagej_header("YX", float(max(highest, 1)), pixel_size)
    _write(path, pixels, header)


def write_probability_tiff(
    path: Path, probabilities: Probabilities, pixel_size: PixelSize | None = None
) -> None:
    """Write probabilities as float32, compressed by zlib.

    The header is ImageJ's, or OME's if the file's name ends in `.ome.tif`.

    Args:
        path: The file to create or replace.
        probabilities: `(height, width, classes)`. Several classes become channels `(classes,
            height, width)` in the file; the foreground alone becomes a plain image.
        pixel_size: The size of the source's pixels; None if unknown.
    """
    pixels = np.ascontiguousarray(np.moveaxis(probabilities, 2, 0), np.float32)
    pixels = pixels[0] if len(pixels) == 1 else pixels
    if _is_ome(path):
        header = ome_header("CYX"[-pixels.ndim :], _digest(pixels), pixel_size)
    elif pixels.ndim == 2:
        header = _imagej_header("YX", 1.0, pixel_size)
    else:  # without all axes of ImageJ, tifffile misreads images that are one pixel wide
        pixels = pixels[np.newaxis, np.newaxis, ..., np.newaxis]
        header = _imagej_header("TZCYXS", 1.0, pixel_size)
    _write(path, pixels, header)


def ome_header(axes: str, digest: bytes, size: PixelSize | None) -> dict[str, Any]:
    """Return the arguments of `tifffile.imwrite` for a header that Bio-Formats reads.

    Args:
        axes: Letters of the axes as tifffile defines them.
        digest: 16 bytes that identify the pixels. They become the file's UUID, so that the same
            pixels give the same file.
        size: The size of a pixel; None if unknown.
    """
    metadata: dict[str, Any] = {"axes": axes, "UUID": str(uuid.UUID(bytes=digest))}
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


def _imagej_header(axes: str, highest: float, size: PixelSize | None) -> dict[str, Any]:
    """Return the arguments of `tifffile.imwrite` for ImageJ's header; `highest` is shown white."""
    metadata: dict[str, Any] = {"axes": axes, "min": 0.0, "max": highest}
    if size is None:
        return {"imagej": True, "metadata": metadata}
    metadata["unit"] = _IMAGEJ_UNITS.get(size.unit, size.unit)
    return {
        "imagej": True,
        "metadata": metadata,
        "resolution": (1 / size.x, 1 / size.y),
        "resolutionunit": "NONE",
    }


def _write(path: Path, pixels: NDArray[np.generic], header: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        tifffile.imwrite(temporary, pixels, photometric="minisblack", compression="zlib", **header)


def _digest(pixels: NDArray[np.generic]) -> bytes:
    return hashlib.sha256(pixels.tobytes()).digest()[:16]


def _is_ome(path: Path) -> bool:
    return path.name.lower().endswith((".ome.tif", ".ome.tiff"))
