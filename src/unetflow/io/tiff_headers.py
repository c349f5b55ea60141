"""What the headers of TIFF files say of an image's axes and of the size of its pixels.

Each function returns arguments of `tifffile.imwrite`.
"""

import uuid
from typing import Any

from unetflow.io.pixel_size import PixelSize

_IMAGEJ_UNITS = {"Å": "A", "µm": "um", "in": "inch"}
"""What ImageJ calls units of which it has a name of its own; its header is ASCII."""


def imagej_header(axes: str, highest: float, size: PixelSize | None) -> dict[str, Any]:
    """Return the header of ImageJ, which opens such a file by itself.

    Args:
        axes: Letters of the axes, as tifffile has them.
        highest: What is shown in white; 0 is shown in black.
        size: The size of a pixel; None where it is not known.
    """
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


def ome_header(axes: str, digest: bytes, size: PixelSize | None) -> dict[str, Any]:
    """Return the header of OME, which Bio-Formats reads, for Fiji and QuPath among others.

    Args:
        axes: As above.
        digest: 16 bytes that identify the pixels: the same ones give the same file, whose
            identity comes from here and not from the clock.
        size: The size of a pixel; None where it is not known.
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


def is_ome(name: str) -> bool:
    """Tell whether a file's name promises the header of OME."""
    return name.lower().endswith((".ome.tif", ".ome.tiff"))
