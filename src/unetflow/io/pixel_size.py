"""The physical size of a pixel, from the headers of TIFF files."""

import math
import re
from dataclasses import dataclass
from xml.etree import ElementTree

import tifffile

from unetflow.core.errors import InputError
from unetflow.io.files import File
from unetflow.io.formats.bounds import decoding_errors
from unetflow.io.formats.tiff import is_tiff, open_tiff

MICROMETRES = {"Å": 1e-4, "nm": 1e-3, "µm": 1.0, "mm": 1e3, "cm": 1e4, "in": 25_400.0, "m": 1e6}
"""Units of length, named as in OME, in micrometres."""
_SPELLINGS = {
    **dict.fromkeys(("a", "å", "angstrom"), "Å"),
    **dict.fromkeys(("um", "\N{GREEK SMALL LETTER MU}m", "micron", "microns"), "µm"),
    **dict.fromkeys(("micrometer", "micrometre"), "µm"),
    **dict.fromkeys(("inch", "inches"), "in"),
    **{"nanometer": "nm", "millimeter": "mm", "centimeter": "cm", "meter": "m"},
}
"""Other names of these units in lower case."""
_TAG_UNITS = {2: "in", 3: "cm"}
"""Values of the tag ResolutionUnit (TIFF 6.0, section 8)."""
_NO_MEASUREMENT = (1, 72, 96)
"""Default pixels per inch of programs that know no size: none, and those of screens."""


@dataclass(frozen=True)
class PixelSize:
    """The width `x` and height `y` of a pixel: the distances between columns and between rows.

    Raises:
        InputError: A side is not positive, or the unit is not a key of `MICROMETRES`.
    """

    x: float
    y: float
    unit: str = "µm"

    def __post_init__(self) -> None:
        if not all(math.isfinite(side) and side > 0 for side in (self.x, self.y)):
            problem = f"{self.x} x {self.y} is not the size of a pixel"
            raise InputError("pixel size", problem, "Give two positive numbers")
        if self.unit not in MICROMETRES:
            problem = f"'{self.unit}' is not a known unit"
            raise InputError("pixel size", problem, f"Use one of {', '.join(MICROMETRES)}")

    def in_unit(self, unit: str) -> "PixelSize":
        """Return the same size in another unit."""
        if unit == self.unit:
            return self
        factor = MICROMETRES[self.unit] / MICROMETRES[unit]
        return PixelSize(self.x * factor, self.y * factor, unit)


def read_pixel_size(file: File) -> PixelSize | None:
    """Read the size of a pixel from an image file; None if unknown, as for all but TIFF files.

    Raises:
        InputError: The file is a damaged TIFF file.
    """
    if not is_tiff(file):
        return None
    with decoding_errors(file), open_tiff(file, keep=False) as tiff:
        return _find(tiff)


def find_pixel_size(tiff: tifffile.TiffFile) -> PixelSize | None:
    """Return the size of a pixel in an opened TIFF file; None if unknown or damaged."""
    try:
        return _find(tiff)
    except Exception:  # the pixels may be readable all the same
        return None


def make_pixel_size(width: float, height: float, unit: str) -> PixelSize | None:
    """Return the size of a pixel, or None if numbers or unit (in any spelling) are meaningless."""
    unit = _SPELLINGS.get(unit.lower(), unit)
    known = unit in MICROMETRES and all(math.isfinite(s) and s > 0 for s in (width, height))
    return PixelSize(width, height, unit) if known else None


def _find(tiff: tifffile.TiffFile) -> PixelSize | None:
    """Return the first of: OME's PhysicalSize, ImageJ's unit with the resolution, the resolution.

    Of plain resolutions, 1, 72 and 96 pixels per inch count as unknown: they are what programs
    write by default.
    """
    header = tiff.pages.first
    return _from_ome(tiff) or _from_imagej(header) or _from_resolution(header)


def _from_ome(tiff: tifffile.TiffFile) -> PixelSize | None:
    text = tiff.ome_metadata
    if not text or "<!" in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL):
        return None  # entity definitions, which OME does not use, can be an attack
    pixels = ElementTree.fromstring(text).find(".//{*}Pixels")  # noqa: S314 -- without entities
    if pixels is None:
        return None
    units = {pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "XY"}
    sizes = [float(pixels.get(f"PhysicalSize{axis}", "0")) for axis in "XY"]
    return make_pixel_size(sizes[0], sizes[1], units.pop()) if len(units) == 1 else None


def _from_imagej(header: tifffile.TiffPage) -> PixelSize | None:
    if not header.imagej_description:
        return None
    unit = re.search(r"^unit=(.*)$", header.imagej_description, re.MULTILINE)
    # ImageJ writes non-ASCII letters as Java's escapes.
    name = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), unit[1]) if unit else ""
    return make_pixel_size(*_resolution(header), name.strip())


def _from_resolution(header: tifffile.TiffPage) -> PixelSize | None:
    unit = _TAG_UNITS.get(int(header.tags.valueof("ResolutionUnit", default=2)), "")
    width, height = _resolution(header)
    found = make_pixel_size(width, height, unit)
    if found is None:
        return None
    inch = found.in_unit("in")
    known = [round(1 / side, 3) not in _NO_MEASUREMENT for side in (inch.x, inch.y)]
    return found if all(known) and 1 not in (width, height) else None


def _resolution(header: tifffile.TiffPage) -> tuple[float, float]:
    """Return a pixel's width and height in the unit of the resolution; 0 if unknown."""
    sides = []
    for name in ("XResolution", "YResolution"):
        pixels, units = header.tags.valueof(name, default=(0, 1))
        sides.append(units / pixels if pixels else 0.0)
    return sides[0], sides[1]
