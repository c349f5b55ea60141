"""How large a pixel is in the world: what TIFF files say of it."""

import math
import re
from dataclasses import dataclass
from xml.etree import ElementTree

import tifffile

from unetflow.core.errors import InputError
from unetflow.io.files import File
from unetflow.io.formats.bounds import explain_damage
from unetflow.io.formats.tiff import open_tiff

MICROMETRES = {
    "Å": 1e-4,
    "nm": 1e-3,
    "µm": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "in": 25_400.0,
    "m": 1e6,
}
"""How long the units are that a pixel's size may have, named as OME does."""
_SPELLINGS = {
    "a": "Å",
    "å": "Å",
    "angstrom": "Å",
    "um": "µm",
    "\N{GREEK SMALL LETTER MU}m": "µm",
    "micron": "µm",
    "microns": "µm",
    "micrometer": "µm",
    "micrometre": "µm",
    "nanometer": "nm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "inch": "in",
    "inches": "in",
}
"""Other names of these units, in small letters."""
_TAG_UNITS = {2: "in", 3: "cm"}
"""Values of the tag ResolutionUnit (TIFF 6.0, section 8)."""
_NO_MEASUREMENT = (1, 72, 96)
"""Pixels in an inch that programs write which know no size: none, and those of screens."""
_ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True)
class PixelSize:
    """The size of a pixel in the world.

    Attributes:
        x: Its width, the distance between columns.
        y: Its height, the distance between rows.
        unit: What both are counted in, one of `MICROMETRES`.

    Raises:
        InputError: A side is not above 0, or the unit is none of these.
    """

    x: float
    y: float
    unit: str = "µm"

    def __post_init__(self) -> None:
        if not all(math.isfinite(side) and side > 0 for side in (self.x, self.y)):
            raise InputError(
                "pixel size",
                f"{self.x} x {self.y} is no size of a pixel",
                "Give two numbers above 0",
            )
        if self.unit not in MICROMETRES:
            raise InputError(
                "pixel size",
                f"'{self.unit}' is no unit that is known",
                f"Use one of {', '.join(MICROMETRES)}",
            )

    def in_unit(self, unit: str) -> "PixelSize":
        """Return the same size counted in another unit."""
        if unit == self.unit:
            return self
        factor = MICROMETRES[self.unit] / MICROMETRES[unit]
        return PixelSize(self.x * factor, self.y * factor, unit)


def read_pixel_size(file: File) -> PixelSize | None:
    """Read the size of a pixel out of a TIFF file.

    The first of these that says something counts: the header of OME (`PhysicalSizeX`), that of
    ImageJ (`unit`, with the resolution as pixels in that unit), and the resolution in pixels in an
    inch or a centimetre. Of the last, 1, 72 and 96 pixels in an inch are no measurement: programs
    write them that know nothing.

    Args:
        file: Any image file; of other formats the size is not known.

    Returns:
        The size, or None where it is not known.

    Raises:
        InputError: It is a damaged TIFF file.
    """
    if file.suffix.lower() not in _ENDINGS:
        return None
    try:
        with open_tiff(file, keep=False) as tiff:
            header = tiff.pages.first
            return _from_ome(tiff) or _from_imagej(header) or _from_resolution(header)
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(file, f"it cannot be opened ({error})", "Check the path") from error
    except Exception as error:  # tifffile raises anything on damaged bytes
        raise InputError(file, *explain_damage(file, error)) from error


def _from_ome(tiff: tifffile.TiffFile) -> PixelSize | None:
    text = tiff.ome_metadata
    if not text or "<!" in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL):
        return None  # definitions of entities, which OME has no use for, may be a trap
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
    # ImageJ writes letters beyond ASCII as Java does.
    name = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), unit[1]) if unit else ""
    width, height = _resolution(header)
    return make_pixel_size(width, height, name.strip())


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
    """Return a pixel's width and height in the unit of the resolution; 0 where not known."""
    sides = []
    for name in ("XResolution", "YResolution"):
        pixels, units = header.tags.valueof(name, default=(0, 1))
        sides.append(units / pixels if pixels else 0.0)
    return sides[0], sides[1]


def make_pixel_size(width: float, height: float, unit: str) -> PixelSize | None:
    """Return a pixel's size, or None where numbers or unit say nothing.

    Args:
        width: In that unit.
        height: Likewise.
        unit: As any program spells it.
    """
    unit = _SPELLINGS.get(unit.lower(), unit)
    known = unit in MICROMETRES and all(math.isfinite(s) and s > 0 for s in (width, height))
    return PixelSize(width, height, unit) if known else None
