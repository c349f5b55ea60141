"""Images in display colours, with masks drawn on them, and thumbnails of samples.

The palette is that of Okabe and Ito, whose colours colour-blind readers can tell apart.
"""

import base64
import io

import numpy as np
import skimage as ski
from numpy.typing import NDArray
from PIL import Image

from unetflow.core.types import IGNORE, Label, PixelArray
from unetflow.data.samples import Sample

Picture = NDArray[np.uint8]
"""`(height, width, 3)`: red, green and blue."""
Rgb = tuple[int, int, int]
VALIDATION_EDGE = 256
_GAP = 4
_MOST_READ = 8
"""Old pixels for each new one along an axis, so that a slide scan does not take minutes."""
_QUALITIES = (85, 65, 45, 25)

BLACK, BLUE, GREEN, ORANGE = "#000000", "#0072b2", "#009e73", "#e69f00"
PURPLE, SKY_BLUE, VERMILLION, YELLOW = "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"


def _to_rgb(colour: str) -> Rgb:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


CLASS_COLOURS = tuple(map(_to_rgb, (SKY_BLUE, ORANGE, YELLOW, VERMILLION, GREEN, PURPLE, BLUE)))
"""Colours of the classes, in an order that keeps neighbours far apart."""
TRUTH_COLOUR, PREDICTION_COLOUR = CLASS_COLOURS[:2]


def to_picture(image: PixelArray) -> Picture:
    """Convert an image `(height, width, channels)` of any bit depth for display.

    The 0.5 and 99.5 percentiles become black and full brightness, so that dark images are
    visible; networks see a fixed scaling instead. One channel is shown in grey. Three are shown as
    red, green and blue and scaled together, which keeps the colours. Other numbers of channels are
    stains or detectors, each scaled separately: two are shown in magenta and green, which
    colour-blind readers can tell apart and which add up to white; of four and more the first three
    are shown as red, green and blue.
    """
    channels = image.shape[2]
    values = image[:, :, :3].astype(np.float32)
    together = channels in (1, 3)
    low, high = np.percentile(values, (0.5, 99.5), axis=None if together else (0, 1))
    values -= low  # in place, since a picture may be large
    values /= np.maximum(high - low, 1e-6)
    np.clip(values, 0, 1, out=values)
    values *= 255
    return show_channels(values.round(out=values).astype(np.uint8))


def show_channels(image: Picture) -> Picture:
    """Arrange channels `(height, width, channels)` uint8 for display as `to_picture` does."""
    shown = {1: [0, 0, 0], 2: [0, 1, 0]}.get(image.shape[2], [0, 1, 2])
    return image[:, :, shown]


def draw_outline(picture: Picture, label: Label, colour: Rgb) -> Picture:
    """Draw the outlines of a label's classes on a copy of a picture; see `find_outlines`."""
    drawn = picture.copy()
    drawn[find_outlines(label)] = colour
    return drawn


def find_outlines(label: Label) -> NDArray[np.bool_]:
    """Return the pixels of each class that touch another class or the background.

    The outline lies inside the foreground, so that its edge is the mask's edge. Ignored pixels are
    background.
    """
    outlines: NDArray[np.bool_] = ski.segmentation.find_boundaries(
        np.where(label == IGNORE, 0, label), mode="inner"
    )
    return outlines


def draw_objects(
    picture: Picture, numbers: NDArray[np.unsignedinteger], colours: Rgb | NDArray[np.uint8]
) -> Picture:
    """Draw the outline of each object on a copy of a picture, also where two objects touch.

    The outlines lie inside the objects.

    Args:
        picture: `(height, width, 3)`.
        numbers: `(height, width)`, the number of each pixel's object; 0 where there is none.
        colours: The colour of all outlines, or `(objects, 3)`, that of each object from number 1
            on.
    """
    drawn, table = picture.copy(), np.asarray(colours, np.uint8)
    outline = ski.segmentation.find_boundaries(numbers, mode="inner")
    drawn[outline] = table if table.ndim == 1 else table[numbers[outline] - 1]
    return drawn


def diagonals(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the number of each pixel's diagonal, from which dashes and stripes are made."""
    return np.add.outer(np.arange(shape[0]), np.arange(shape[1]))


def hatch_ignored(picture: Picture, label: Label) -> None:
    """Darken and hatch the ignored pixels of a picture, in place."""
    ignored = label == IGNORE
    picture[ignored] //= 2
    picture[ignored & (diagonals(label.shape) % 6 < 2)] = 200


def paint_classes(label: Label) -> Picture:
    """Return the colour of each pixel's class: black is the background, white is ignored."""
    return _COLOUR_TABLE[label]


def tint_classes(picture: Picture, label: Label) -> Picture:
    """Blend a picture with the colours of its classes, except for the background."""
    painted = (picture.astype(np.uint16) + paint_classes(label)) // 2
    background = (label == 0)[:, :, np.newaxis]
    return np.where(background, picture, painted).astype(np.uint8)


def draw_label(
    picture: Picture,
    label: Label,
    classes: int,
    colour: Rgb,
    numbers: NDArray[np.unsignedinteger] | None = None,
) -> Picture:
    """Draw a label on a copy of a picture: two classes by an outline, more by tints.

    Args:
        picture: `(height, width, 3)`.
        label: `(height, width)`, class indices; 255 is ignored.
        classes: Number of classes, the first of which is the background.
        colour: The colour of the outlines of two classes.
        numbers: `(height, width)`, the number of each pixel's object; 0 where there is none. Each
            object then has an outline of its own, with several classes in the colour of its class.
            None: unknown.
    """
    if numbers is None and classes > 2:
        return tint_classes(picture, label)
    if numbers is None:
        return draw_outline(picture, label, colour)
    if classes == 2:
        return draw_objects(picture, numbers, colour)
    consecutive = ski.segmentation.relabel_sequential(numbers)[0]
    class_of = np.zeros(int(consecutive.max()) + 1, np.uint8)
    class_of[consecutive] = label  # an object lies in one class
    return draw_objects(tint_classes(picture, label), consecutive, paint_classes(class_of[1:]))


def _make_colour_table() -> Picture:
    """Return a different colour for each class index, `(256, 3)`."""
    table = np.zeros((IGNORE + 1, 3), np.uint8)
    palette = np.array(CLASS_COLOURS)
    # The palette, then darker, then paler; few masks have more classes than these 21.
    known = np.concatenate([palette, palette // 2, (palette + 255) // 2])
    table[1 : len(known) + 1] = known
    # The others are spread over the RGB cube in steps that repeat no colour.
    rest = np.arange(IGNORE - 1 - len(known))
    table[len(known) + 1 : IGNORE] = np.stack(
        [40 + rest % 6 * 36, 30 + rest // 6 % 6 * 36, 20 + rest // 36 * 31], axis=1
    )
    table[IGNORE] = 255
    return table


_COLOUR_TABLE = _make_colour_table()


def fit_shape(shape: tuple[int, ...], edge: int, *, enlarge: bool = False) -> tuple[int, int]:
    """Return the height and width of a picture whose longer edge is reduced to `edge`.

    A smaller image (`shape`: height, width, ...) is enlarged to `edge` only if `enlarge` is true.
    """
    height, width = shape[:2]
    scale = edge / max(height, width)
    scale = scale if enlarge else min(1.0, scale)
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink_image(image: PixelArray, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Shrink an image `(height, width, channels)` to a smaller height and width by averaging areas.

    At most the first four channels are kept.
    """
    step = max(1, max(image.shape[:2]) // (_MOST_READ * max(shape)))
    channels = np.moveaxis(image[::step, ::step, :4], 2, 0)
    pictures = (Image.fromarray(np.ascontiguousarray(channel, np.float32)) for channel in channels)
    shrunk = (picture.resize((shape[1], shape[0]), Image.Resampling.BOX) for picture in pictures)
    return np.stack([np.asarray(picture) for picture in shrunk], axis=2)


def shrink_label(label: Label, shape: tuple[int, int]) -> Label:
    """Shrink a label by taking the class at the centre of each new pixel."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, label.shape, strict=True)
    )
    return np.asarray(label[np.ix_(rows, columns)])


def shrink_sample(sample: Sample, edge: int, *labels: Label) -> tuple[Picture, list[Label]]:
    """Return a sample's picture and labels of its size, the longer edge at most `edge` pixels."""
    shape = fit_shape(sample.label.shape, edge)
    picture = to_picture(shrink_image(sample.image, shape))
    return picture, [shrink_label(label, shape) for label in labels]


def draw_validation(sample: Sample, found: Label, classes: int) -> Picture:
    """Draw a sample with its true label on the left and a predicted one on the right.

    The longer edge is reduced to 256 pixels; a white gap of 4 pixels is in the middle.
    """
    picture, (truth, prediction) = shrink_sample(sample, VALIDATION_EDGE, sample.label, found)
    gap = np.full((len(picture), _GAP, 3), 255, np.uint8)
    left = draw_label(picture, truth, classes, TRUTH_COLOUR)
    right = draw_label(picture, prediction, classes, PREDICTION_COLOUR)
    return np.concatenate([left, gap, right], axis=1)


def to_address(picture: Picture, most_bytes: int = 16_000) -> str:
    """Return a picture as a data URI.

    The picture is a JPEG, since noise makes PNG large, without colour subsampling, which keeps
    outlines crisp. Its quality is reduced while it is larger than `most_bytes`, so that the whole
    page stays small.
    """
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
        if len(buffer.getvalue()) <= most_bytes:
            break
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
