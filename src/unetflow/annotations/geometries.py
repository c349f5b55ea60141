"""Geometries of objects and their rasterisation: polygons, circles, mask patches, run lengths.

The method `pixels` returns where a geometry lies in an image, or raises an `InputError` that names
`where`. Geometries are immutable; the manifest has digests of their `repr`, which holds all.
"""

import io
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile
from pycocotools import mask as coco_masks

from unetflow.annotations.tables import AGAIN, shorten
from unetflow.core.errors import InputError

MAX_STEPS = 20_000_000
"""Fifths of a pixel along an outline; each one takes 16 bytes while the outline is drawn."""
MAX_CHARACTERS = 7
"""Characters of a packed run length: 5 bits each, and no image has more than 2**34 pixels."""
_LARGEST_INT = 2**31 - 1
_SLACK = 2
"""Pixels by which a patch may differ from its box, whose corners are rounded."""
_RUN_PAIRS = re.compile(r"\d{1,10}(\s+\d{1,10})*", re.ASCII)
_NO_LENGTHS = np.zeros(0, np.int64)

HeightWidth = tuple[int, int]
"""The shape of an image, in pixels."""
Pixels = NDArray[np.bool_]


@dataclass(frozen=True)
class Polygon:
    """A closed outline, drawn like the COCO tools do and clipped to the image."""

    numbers: tuple[float, ...]  # x and y of each corner, in pixels from the upper left corner

    def pixels(self, shape: HeightWidth, where: object) -> Pixels:
        """Fill the outline."""
        height, width = shape
        corners = np.array(self.numbers).reshape(-1, 2)
        length = np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum()
        # The COCO tools walk along an outline of any length, and count in 32-bit numbers.
        if 5 * length + len(corners) > MAX_STEPS or height * width > _LARGEST_INT:
            problem = (
                f"its outline of {length:.0f} pixels in an image of {width} x {height} is too "
                "large to be drawn"
            )
            raise InputError(where, problem, "Correct its points, or cut the image into parts")
        (runs,) = coco_masks.frPyObjects([list(self.numbers)], height, width)
        return _fill_runs(np.cumsum(decode_coco_counts(runs["counts"].decode())), shape)


@dataclass(frozen=True)
class Circle:
    """All pixels whose centres are not farther from the circle's centre than a point on its rim."""

    x: float  # in pixels from the image's upper left corner
    y: float
    rim_x: float
    rim_y: float

    def pixels(self, shape: HeightWidth, where: object) -> Pixels:
        """Fill the circle, clipped to the image."""
        rows = np.square(np.arange(shape[0]) + 0.5 - self.y)
        columns = np.square(np.arange(shape[1]) + 0.5 - self.x)
        squared_radius = (self.rim_x - self.x) ** 2 + (self.rim_y - self.y) ** 2
        inside: Pixels = columns[np.newaxis, :] <= (squared_radius - rows)[:, np.newaxis]
        return inside


@dataclass(frozen=True)
class Patch:
    """A small mask at a place in the image."""

    png: bytes  # a PNG file; all but 0 belongs to the object
    box: tuple[int, int, int, int]  # left, upper, right and lower edge in pixels

    def pixels(self, shape: HeightWidth, where: object) -> Pixels:
        """Paste the mask, clipped to the image."""
        try:
            mask = self._decode(shape, where)
        except InputError:
            raise
        except Exception as error:  # decoders raise anything on damaged bytes
            problem = "its mask is not a PNG image that can be decoded"
            raise InputError(where, problem, "Draw the object again") from error
        pixels = np.zeros(shape, bool)
        left, top = self.box[:2]
        target = pixels[max(top, 0) : max(top + mask.shape[0], 0), :]
        target = target[:, max(left, 0) : max(left + mask.shape[1], 0)]
        source = mask[max(-top, 0) :, max(-left, 0) :]
        target[...] = source[: target.shape[0], : target.shape[1]]
        return pixels

    def _decode(self, shape: HeightWidth, where: object) -> Pixels:
        """Decode the PNG file, unless its header does not fit the box or the image."""
        width, height = self.box[2] - self.box[0], self.box[3] - self.box[1]
        # `Image.open` would apply the limit of pixels of the whole process.
        with PngImageFile(io.BytesIO(self.png)) as image:
            misfit = max(abs(image.width - width), abs(image.height - height))
            if misfit > _SLACK or image.width > shape[1] or image.height > shape[0]:
                problem = (
                    f"its mask of {image.width} x {image.height} pixels does not fit its box of "
                    f"{width} x {height}, or the image"
                )
                raise InputError(where, problem, "Draw the object again")
            if image.mode not in ("1", "L", "P"):
                problem = f"the colours of its mask are {image.mode}"
                raise InputError(where, problem, "Draw the object again")
            mask: Pixels = np.asarray(image) != 0
            return mask


@dataclass(frozen=True)
class RunPairs:
    """Run lengths as in Kaggle's tables, down one column of pixels after the other."""

    text: str  # in turn the first pixel of each run, counted from 1, and the run's length

    def pixels(self, shape: HeightWidth, where: object) -> Pixels:
        """Draw the runs; all of them must lie in the image."""
        borders, n_pixels = parse_run_pairs(self.text, where), shape[0] * shape[1]
        if borders[-1] > n_pixels:
            problem = f"it ends at pixel {borders[-1]}, but the image has {n_pixels}"
            raise InputError(where, problem, "Check that the table belongs to these images")
        return _fill_runs(borders, shape)


@dataclass(frozen=True)
class RunLengths:
    """Run lengths as in COCO's files: outside and inside the object in turn."""

    counts: tuple[int, ...] | str  # in pixels, or a text into which the COCO tools packed them
    size: HeightWidth  # of the image

    def pixels(self, shape: HeightWidth, where: object) -> Pixels:
        """Draw the runs; together they must fill the image."""
        if self.size != tuple(shape):
            problem = (
                f"its runs are of an image of {shorten(self.size[1])} x {shorten(self.size[0])} "
                f"pixels, but the image is {shape[1]} x {shape[0]}"
            )
            raise InputError(where, problem, "Use the image that was annotated")
        counts, n_pixels = self.counts, shape[0] * shape[1]
        if isinstance(counts, str):
            # The COCO tools draw a wrong text regardless: beyond the image, or not to its end.
            is_short = len(counts) <= MAX_CHARACTERS * (n_pixels + 1)
            counts = tuple(decode_coco_counts(counts).tolist()) if is_short else ()
        if any(count < 0 for count in counts) or sum(counts) != n_pixels:
            raise InputError(where, f"its runs do not fill the image's {n_pixels} pixels", AGAIN)
        return _fill_runs(np.cumsum(counts), shape)


ObjectPart = Polygon | Circle | Patch | RunPairs | RunLengths


def parse_run_pairs(text: str, where: object) -> NDArray[np.int64]:
    """Return in turn the first pixel of each run, counted from 0, and the pixel after its end."""
    if not _RUN_PAIRS.fullmatch(text.strip()):
        problem = f"its runs {shorten(text)} are not whole numbers with spaces between"
        fix = "Correct it; leave the field empty where there is no object"
        raise InputError(where, problem, fix)
    borders = np.array([int(part) for part in text.split()], np.int64)
    if borders.size % 2:
        problem = f"its runs are {borders.size} numbers"
        raise InputError(where, problem, "Give a start and a length for each run")
    if not borders.all():
        problem = "a run starts at pixel 0 or has a length of 0"
        raise InputError(where, problem, "Count the pixels from 1, and remove empty runs")
    borders[::2] -= 1
    borders[1::2] += borders[::2]
    starts = borders[2::2]
    wrong = starts[starts < borders[1:-1:2]]
    if wrong.size:
        problem = f"its run from pixel {wrong[0] + 1} begins before the one before it ends"
        raise InputError(where, problem, "Sort the runs, and let none overlap")
    return borders


def decode_coco_counts(text: str) -> NDArray[np.int64]:
    """Decode run lengths that the COCO tools have packed (`rleToString` in their `maskApi.c`).

    Each character holds, above "0", 5 bits of a number, the lowest first, and a sixth bit that
    says whether more follow. The highest of a number's bits is its sign. From the fourth number
    on, the difference to the number two before is packed.

    Returns:
        The lengths, unchecked; none where the text is damaged.
    """
    codes = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    if not codes.size or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return _NO_LENGTHS
    ends = np.flatnonzero(codes & 32 == 0) + 1
    starts = np.concatenate([[0], ends[:-1]])
    digits = ends - starts
    if digits.max() > MAX_CHARACTERS:
        return _NO_LENGTHS
    places = np.arange(codes.size) - np.repeat(starts, digits)
    numbers = np.add.reduceat((codes & 31) << (5 * places), starts)
    numbers -= np.where(codes[ends - 1] & 16, np.int64(1) << (5 * digits), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _fill_runs(borders: NDArray[np.int64], shape: HeightWidth) -> Pixels:
    """Fill runs, down one column after the other, given the first pixel in and after each."""
    pixels = np.zeros(shape[0] * shape[1], bool)
    for start, end in zip(borders[::2].tolist(), borders[1::2].tolist(), strict=False):
        pixels[start:end] = True
    return pixels.reshape(shape, order="F")
