"""Geometries of objects and their rasterisation: polygons, circles, mask patches, run lengths."""

import io
import re
from dataclasses import dataclass
from typing import Protocol

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

Pixels = NDArray[np.bool_]


class Geometry(Protocol):
    """Where an object or a part of it lies; immutable, and its `repr` holds all of it."""

    def pixels(self, shape: tuple[int, int], where: object) -> Pixels:
        """Return where it lies in an image of a shape `(height, width)`.

        Raises:
            InputError: It cannot be drawn; the error names `where`.
        """


@dataclass(frozen=True)
class Polygon:
    """A closed outline, drawn like the COCO tools do and clipped to the image.

    Attributes:
        numbers: x and y of each corner in turn, in pixels from the image's upper left corner.
    """

    numbers: tuple[float, ...]

    def pixels(self, shape: tuple[int, int], where: object) -> Pixels:
        """Fill the outline."""
        height, width = shape
        corners = np.array(self.numbers).reshape(-1, 2)
        longer_sides = np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1)
        # The COCO tools walk along an outline of any length, and count in 32-bit numbers.
        if 5 * longer_sides.sum() + len(corners) > MAX_STEPS or height * width > _LARGEST_INT:
            raise InputError(
                where,
                f"its outline of {longer_sides.sum():.0f} pixels in an image of {width} x {height} "
                "is too large to be drawn",
                "Correct its points, or cut the image into parts",
            )
        (runs,) = coco_masks.frPyObjects([list(self.numbers)], height, width)
        return _fill_runs(decode_coco_counts(runs["counts"].decode()), shape)


@dataclass(frozen=True)
class Circle:
    """All pixels whose centres are not farther from the circle's centre than its rim.

    Attributes:
        x: Its centre, in pixels from the image's left edge.
        y: The same from the upper edge.
        rim_x: A point on its rim.
        rim_y: The same from the upper edge.
    """

    x: float
    y: float
    rim_x: float
    rim_y: float

    def pixels(self, shape: tuple[int, int], where: object) -> Pixels:
        """Fill the circle, clipped to the image."""
        rows = np.square(np.arange(shape[0]) + 0.5 - self.y)
        columns = np.square(np.arange(shape[1]) + 0.5 - self.x)
        squared_radius = (self.rim_x - self.x) ** 2 + (self.rim_y - self.y) ** 2
        inside: Pixels = columns[np.newaxis, :] <= (squared_radius - rows)[:, np.newaxis]
        return inside


@dataclass(frozen=True)
class Patch:
    """A small mask at a place in the image.

    Attributes:
        png: The mask as a PNG file; all but 0 belongs to the object.
        box: Left, upper, right and lower edge in pixels.
    """

    png: bytes
    box: tuple[int, int, int, int]

    def pixels(self, shape: tuple[int, int], where: object) -> Pixels:
        """Paste the mask, clipped to the image."""
        try:
            mask = self._decode(shape, where)
        except InputError:
            raise
        except Exception as error:  # decoders raise anything on damaged bytes
            raise InputError(
                where, "its mask is not a PNG image that can be decoded", "Draw the object again"
            ) from error
        pixels = np.zeros(shape, bool)
        left, top = self.box[:2]
        target = pixels[max(top, 0) : max(top + mask.shape[0], 0), :]
        target = target[:, max(left, 0) : max(left + mask.shape[1], 0)]
        source = mask[max(-top, 0) :, max(-left, 0) :]
        target[...] = source[: target.shape[0], : target.shape[1]]
        return pixels

    def _decode(self, shape: tuple[int, int], where: object) -> Pixels:
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
    """Run lengths as in Kaggle's tables, down one column of pixels after the other.

    Attributes:
        text: The first pixel of each run, counted from 1, and the run's length in turn.
    """

    text: str

    def pixels(self, shape: tuple[int, int], where: object) -> Pixels:
        """Draw the runs; all of them must lie in the image."""
        starts, ends = parse_run_pairs(self.text, where)
        n_pixels = shape[0] * shape[1]
        if ends[-1] > n_pixels:
            problem = f"it ends at pixel {ends[-1]}, but the image has {n_pixels}"
            raise InputError(where, problem, "Check that the table belongs to these images")
        borders = np.stack([starts, ends], axis=1).ravel()
        return _fill_runs(np.diff(borders, prepend=0, append=n_pixels), shape)


@dataclass(frozen=True)
class RunLengths:
    """Run lengths as in COCO's files: outside and inside the object in turn.

    Attributes:
        counts: The lengths in pixels, or a text into which the COCO tools have packed them.
        size: `(height, width)` of the image.
    """

    counts: tuple[int, ...] | str
    size: tuple[int, int]

    def pixels(self, shape: tuple[int, int], where: object) -> Pixels:
        """Draw the runs; together they must fill the image."""
        if self.size != tuple(shape):
            raise InputError(
                where,
                f"its runs are of an image of {shorten(self.size[1])} x {shorten(self.size[0])} "
                f"pixels, but the image is {shape[1]} x {shape[0]}",
                "Use the image that was annotated",
            )
        n_pixels = shape[0] * shape[1]
        lengths = self._lengths(n_pixels)
        if not lengths.size:
            raise InputError(where, f"its runs do not fill the image's {n_pixels} pixels", AGAIN)
        return _fill_runs(lengths, shape)

    def _lengths(self, n_pixels: int) -> NDArray[np.int64]:
        """Return the lengths; none where they do not fill an image of so many pixels."""
        if isinstance(self.counts, str):
            # The COCO tools draw a wrong text regardless: beyond the image, or not to its end.
            if len(self.counts) > MAX_CHARACTERS * (n_pixels + 1):
                return _NO_LENGTHS
            lengths = decode_coco_counts(self.counts)
            fits = lengths.size and lengths.min() >= 0 and lengths.max() <= n_pixels
            return lengths if fits and lengths.sum() == n_pixels else _NO_LENGTHS
        fits = all(count >= 0 for count in self.counts) and sum(self.counts) == n_pixels
        return np.array(self.counts, np.int64) if fits else _NO_LENGTHS


def parse_run_pairs(text: str, where: object) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first pixels of runs, counted from 0, and the pixels after their ends.

    Raises:
        InputError: The text is not a list of runs, or they are not in order.
    """
    if not _RUN_PAIRS.fullmatch(text.strip()):
        problem = f"its runs {shorten(text)} are not whole numbers with spaces between"
        fix = "Correct it; leave the field empty where there is no object"
        raise InputError(where, problem, fix)
    numbers = np.array([int(part) for part in text.split()], np.int64)
    if numbers.size % 2:
        problem = f"its runs are {numbers.size} numbers"
        raise InputError(where, problem, "Give a start and a length for each run")
    if not numbers.all():
        problem = "a run starts at pixel 0 or has a length of 0"
        raise InputError(where, problem, "Count the pixels from 1, and remove empty runs")
    starts, ends = numbers[::2] - 1, numbers[::2] - 1 + numbers[1::2]
    wrong = np.flatnonzero(starts[1:] < ends[:-1])
    if wrong.size:
        first = starts[wrong[0] + 1] + 1
        problem = f"its run from pixel {first} begins before the one before it ends"
        raise InputError(where, problem, "Sort the runs, and let none overlap")
    return starts, ends


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


def _fill_runs(lengths: NDArray[np.int64], shape: tuple[int, int]) -> Pixels:
    """Draw runs that lie outside and inside in turn, down one column after the other.

    Args:
        lengths: In pixels, none below 0; together they fill the image.
        shape: `(height, width)`.
    """
    pixels = np.zeros(shape[0] * shape[1], bool)
    borders = np.cumsum(lengths).tolist()
    for start, end in zip(borders[::2], borders[1::2], strict=False):
        pixels[start:end] = True
    return pixels.reshape(shape, order="F")
