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
from unetflow.core.types import PixelArray, Probabilities
from unetflow.io.pixel_size import PixelSize

_LABEL_TYPES = (np.uint8, np.uint16, np.uint32)
_IMAGEJ_UNITS = {"Å": "A", "µm": "um", "in": "inch"}
"""ImageJ's own names of units; its header is ASCII."""


def write_tiff(
    path: Path, pixels: PixelArray, compression: str | None = None, *, sync_folder: bool = True
) -> None:
    """Write an image as one TIFF page, which can be memory-mapped unless it is compressed.

    Args:
        path: The file to create or replace.
        pixels: `(height, width)` or `(height, width, channels)`; three channels are RGB.
        compression: A name that tifffile knows, such as "zlib".
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
    """Write class indices or object numbers `(height, width)` as one page, compressed by zlib.

    The type is the smallest of uint8, uint16 and uint32 that holds the values. The header is
    ImageJ's, or OME's if the file's name ends in `.ome.tif`. ImageJ has no uint32, so such files
    also get the header of OME, which Fiji opens through Bio-Formats.

    Raises:
        InputError: A value is negative or does not fit into uint32.
    """
    lowest, highest = int(values.min(initial=0)), int(values.max(initial=0))
    fitting = [dtype for dtype in _LABEL_TYPES if highest <= np.iinfo(dtype).max]
    if lowest < 0 or not fitting:
        problem = f"its values from {lowest} to {highest} do not fit a label"
        raise InputError(path, problem, "Number objects from 1 on")
    pixels = np.ascontiguousarray(values, fitting[0])
    as_ome = pixels.dtype == np.uint32 or _is_ome(path)
    # The display range makes the few classes of a mask visible.
    _write(path, pixels, "YX", None if as_ome else float(max(highest, 1)), pixel_size)


def write_probability_tiff(
    path: Path, probabilities: Probabilities, pixel_size: PixelSize | None = None
) -> None:
    """Write probabilities `(height, width, classes)` as float32, compressed by zlib.

    The header is ImageJ's, or OME's if the file's name ends in `.ome.tif`. Several classes become
    channels `(classes, height, width)`; the foreground alone becomes a plain image.
    """
    pixels = np.ascontiguousarray(np.moveaxis(probabilities, 2, 0), np.float32)
    pixels = pixels[0] if len(pixels) == 1 else pixels
    axes = "CYX"[-pixels.ndim :]
    if not _is_ome(path) and pixels.ndim == 3:
        # Without all axes of ImageJ, tifffile misreads images that are one pixel wide.
        pixels, axes = pixels[np.newaxis, np.newaxis, ..., np.newaxis], "TZCYXS"
    _write(path, pixels, axes, None if _is_ome(path) else 1.0, pixel_size)


def ome_header(axes: str, digest: bytes, size: PixelSize | None) -> dict[str, Any]:
    """Return the arguments of `tifffile.imwrite` for a header that Bio-Formats reads.

    `axes` are tifffile's letters. The 16 bytes of `digest` identify the pixels and become the
    file's UUID, so that the same pixels give the same file.
    """
    metadata: dict[str, Any] = {"axes": axes, "UUID": str(uuid.UUID(bytes=digest))}
    header: dict[str, Any] = {"ome": True, "metadata": metadata}
    if size is not None:
        metadata |= {f"PhysicalSize{axis}Unit": size.unit for axis in "XY"}
        metadata |= {"PhysicalSizeX": size.x, "PhysicalSizeY": size.y}
        centimetres = size.in_unit("cm")
        header["resolution"] = (1 / centimetres.x, 1 / centimetres.y)
        header["resolutionunit"] = "CENTIMETER"
    return header


def _write(
    path: Path, pixels: PixelArray, axes: str, highest: float | None, size: PixelSize | None
) -> None:
    """Write with a header of ImageJ, which shows the value `highest` white, or of OME if None."""
    header: dict[str, Any]
    if highest is None:
        header = ome_header(axes, hashlib.sha256(pixels.tobytes()).digest()[:16], size)
    else:
        header = {"imagej": True, "metadata": {"axes": axes, "min": 0.0, "max": highest}}
        if size is not None:
            header["metadata"]["unit"] = _IMAGEJ_UNITS.get(size.unit, size.unit)
            header |= {"resolution": (1 / size.x, 1 / size.y), "resolutionunit": "NONE"}
    with atomic_write(path) as temporary:
        tifffile.imwrite(temporary, pixels, photometric="minisblack", compression="zlib", **header)


def _is_ome(path: Path) -> bool:
    return path.name.lower().endswith((".ome.tif", ".ome.tiff"))
