"""Pictures of test images with the truth, the prediction and the errors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label
from unetflow.data.samples import Sample
from unetflow.reporting.html.elements import PagePicture
from unetflow.reporting.html.wording import percent
from unetflow.visualization.overlays import (
    CLASS_COLOURS,
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    Picture,
    diagonals,
    draw_outline,
    find_outlines,
    fit_shape,
    hatch_ignored,
    shrink_sample,
    to_address,
)

EDGE = 240
_MOST_BYTES = 40_000
_CONFUSED_COLOUR = CLASS_COLOURS[5]


@dataclass(frozen=True)
class Errors:
    """Masks `(height, width)` of the wrong pixels; ignored pixels are in none.

    Attributes:
        missed: Background is predicted instead of a class.
        added: A class is predicted instead of background.
        confused: A class is predicted instead of another one.
    """

    missed: NDArray[np.bool_]
    added: NDArray[np.bool_]
    confused: NDArray[np.bool_]


def show_errors(
    sample_id: str,
    sample: Sample,
    predict: Callable[[NDArray[np.generic]], Label],
    scores: str,
) -> tuple[PagePicture, PagePicture]:
    """Draw a sample with the outlines of truth and prediction, and with the errors."""
    found = predict(sample.image)
    errors = find_errors(sample.label, found)
    counted = max(int(np.count_nonzero(sample.label != IGNORE)), 1)
    kinds = {"missed": errors.missed, "wrongly added": errors.added}
    if errors.confused.any():
        kinds["taken for another class"] = errors.confused
    shares = [f"{percent(float(mask.sum()) / counted)} {name}" for name, mask in kinds.items()]
    caption = sample_id, scores, "of the pixels " + ", ".join(shares)
    picture, (truth, small) = shrink_sample(sample, EDGE, sample.label, found)
    height, width = fit_shape(sample.label.shape, EDGE, enlarge=True)
    enlarged = max(sample.label.shape) < EDGE

    def show(drawn: Picture, content: str) -> PagePicture:
        address, text = to_address(drawn, _MOST_BYTES), f"{sample_id} with {content}"
        return PagePicture(address, caption, width, height, text, enlarged)

    return (
        show(draw_outlines(picture, truth, small), "the outlines of truth and prediction"),
        show(draw_errors(picture, truth, small), f"its errors: {caption[2]}"),
    )


def find_errors(truth: Label, found: Label) -> Errors:
    """Sort the wrong pixels by the kind of error.

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
    """Draw the outline of the truth as a solid line, and that of the prediction dashed above it."""
    drawn = draw_outline(picture, truth, TRUTH_COLOUR)
    dash = diagonals(truth.shape) // 3 % 2 == 0
    drawn[find_outlines(found) & dash] = PREDICTION_COLOUR
    return drawn


def draw_errors(picture: Picture, truth: Label, found: Label) -> Picture:
    """Colour the errors, and darken all but them and the correct foreground.

    The kinds of errors differ in pattern as well as in colour: missed pixels are filled, added
    ones striped, and those of another class dotted.
    """
    errors = find_errors(truth, found)
    diagonal = diagonals(truth.shape)
    rows, columns = np.indices(truth.shape)
    drawn = picture.copy()
    drawn[truth == 0] //= 2
    hatch_ignored(drawn, truth)
    drawn[errors.missed] = TRUTH_COLOUR
    drawn[errors.added] = PREDICTION_COLOUR
    drawn[errors.added & (diagonal % 4 < 2)] = 0
    drawn[errors.confused] = _CONFUSED_COLOUR
    drawn[errors.confused & (rows % 4 < 2) & (columns % 4 < 2)] = 255
    return drawn
