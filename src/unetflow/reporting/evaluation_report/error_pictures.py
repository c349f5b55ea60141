"""Test images with the truth, the prediction and the errors on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from unetflow.core.types import IGNORE, Label
from unetflow.data.samples import Sample
from unetflow.reporting.html.wording import percent
from unetflow.visualization.overlays import (
    CLASS_COLOURS,
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    Picture,
    to_picture,
)
from unetflow.visualization.thumbnails import shrink_image, shrink_label, shrunk_shape, to_address

EDGE = 240
_MOST_BYTES = 40_000
_CONFUSED_COLOUR = CLASS_COLOURS[5]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Errors:
    """Where a prediction is wrong; pixels that are ignored are nowhere.

    Attributes:
        missed: `(height, width)`, background is predicted where a class is.
        added: `(height, width)`, a class is predicted where background is.
        confused: `(height, width)`, one class is predicted where another one is.
    """

    missed: Mask
    added: Mask
    confused: Mask


@dataclass(frozen=True)
class ErrorPicture:
    """An image for the page.

    Attributes:
        id: The sample.
        scores: Its scores as text.
        outlines: The picture with both outlines, as a data URI.
        errors: The picture with the errors, as a data URI.
        errors_text: How much is wrong, in words.
        width: Of each picture on the screen.
        height: Of each picture on the screen.
        enlarged: Whether the screen shows the image larger than it is.
    """

    id: str
    scores: str
    outlines: str
    errors: str
    errors_text: str
    width: int
    height: int
    enlarged: bool


def compare(
    sample_id: str, sample: Sample, predict: Callable[[NDArray[np.generic]], Label], scores: str
) -> ErrorPicture:
    """Draw a sample with what a model finds in it."""
    found = predict(sample.image)
    errors = find_errors(sample.label, found)
    counted = max(int(np.count_nonzero(sample.label != IGNORE)), 1)
    kinds: Sequence[tuple[str, Mask]] = (
        ("missed", errors.missed),
        ("wrongly added", errors.added),
        ("taken for another class", errors.confused),
    )
    shares = [
        f"{percent(float(np.count_nonzero(mask)) / counted)} {name}"
        for name, mask in kinds
        if name != "taken for another class" or mask.any()
    ]
    shape = shrunk_shape(sample.label.shape, EDGE)
    picture = to_picture(shrink_image(sample.image, shape))
    truth, small = shrink_label(sample.label, shape), shrink_label(found, shape)
    scale = EDGE / max(sample.label.shape)
    height, width = (max(1, round(length * scale)) for length in sample.label.shape)
    return ErrorPicture(
        sample_id,
        scores,
        to_address(draw_outlines(picture, truth, small), _MOST_BYTES),
        to_address(draw_errors(picture, truth, small), _MOST_BYTES),
        "of the pixels " + ", ".join(shares),
        width,
        height,
        scale > 1,
    )


def find_errors(truth: Label, found: Label) -> Errors:
    """Sort the wrong pixels by what is wrong with them.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        found: `(height, width)` class indices.
    """
    wrong = (truth != found) & (truth != IGNORE)
    return Errors(
        missed=wrong & (found == 0),
        added=wrong & (truth == 0),
        confused=wrong & (truth != 0) & (found != 0),
    )


def draw_outlines(picture: Picture, truth: Label, found: Label) -> Picture:
    """Outline the truth in a solid line and the prediction in a dashed one above it."""
    drawn = picture.copy()
    dash = _diagonal(truth.shape) // 3 % 2 == 0
    drawn[find_boundaries(np.where(truth == IGNORE, 0, truth), mode="inner")] = TRUTH_COLOUR
    drawn[find_boundaries(found, mode="inner") & dash] = PREDICTION_COLOUR
    return drawn


def draw_errors(picture: Picture, truth: Label, found: Label) -> Picture:
    """Colour the errors, and darken all but them and what is found rightly.

    The kinds of errors differ in pattern as well as in colour: missed pixels are filled, added
    ones striped, and those of another class dotted.
    """
    errors = find_errors(truth, found)
    ignored = truth == IGNORE
    diagonal = _diagonal(truth.shape)
    rows, columns = np.indices(truth.shape)
    drawn = picture.copy()
    drawn[(truth == 0) | ignored] //= 2
    drawn[ignored & (diagonal % 6 < 2)] = 200
    drawn[errors.missed] = TRUTH_COLOUR
    drawn[errors.added] = PREDICTION_COLOUR
    drawn[errors.added & (diagonal % 4 < 2)] = 0
    drawn[errors.confused] = _CONFUSED_COLOUR
    drawn[errors.confused & (rows % 4 < 2) & (columns % 4 < 2)] = 255
    return drawn


def _diagonal(shape: tuple[int, ...]) -> NDArray[np.intp]:
    return np.add.outer(np.arange(shape[0]), np.arange(shape[1]))
