"""Pictures of test images with the truth, the prediction and the errors."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label
from unetflow.data.samples import Sample
from unetflow.reporting.html_page import PagePicture, percent
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

_EDGE = 240
_MOST_BYTES = 40_000
_CONFUSED_COLOUR = CLASS_COLOURS[5]
_NAMES = {"missed": "missed", "added": "wrongly added", "confused": "taken for another class"}

Predict = Callable[[NDArray[np.generic]], Label]


def show_errors(
    sample_id: str, sample: Sample, predict: Predict, scores: str
) -> tuple[PagePicture, PagePicture]:
    """Draw a sample with the outlines of truth and prediction, and with the errors."""
    found = predict(sample.image)
    counted = max(int(np.count_nonzero(sample.label != IGNORE)), 1)
    shares = [
        f"{percent(float(mask.sum()) / counted)} {_NAMES[kind]}"
        for kind, mask in find_errors(sample.label, found).items()
        if kind != "confused" or mask.any()
    ]
    caption = sample_id, scores, "of the pixels " + ", ".join(shares)
    picture, (truth, small) = shrink_sample(sample, _EDGE, sample.label, found)
    size = fit_shape(sample.label.shape, _EDGE, enlarge=True)
    enlarged = max(sample.label.shape) < _EDGE

    def show(drawn: Picture, content: str) -> PagePicture:
        address, text = to_address(drawn, _MOST_BYTES), f"{sample_id} with {content}"
        return PagePicture(address, caption, *size, text, enlarged)

    return (
        show(draw_outlines(picture, truth, small), "the outlines of truth and prediction"),
        show(draw_errors(picture, truth, small), f"its errors: {caption[2]}"),
    )


def find_errors(truth: Label, found: Label) -> dict[str, NDArray[np.bool_]]:
    """Sort the wrong pixels by the kind of error.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        found: `(height, width)` class indices.

    Returns:
        Masks `(height, width)`: where background is predicted instead of a class ("missed"), a
        class instead of background ("added") or instead of another class ("confused").
    """
    wrong = (truth != found) & (truth != IGNORE)
    return {
        "missed": wrong & (found == 0),
        "added": wrong & (truth == 0),
        "confused": wrong & (truth != 0) & (found != 0),
    }


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
    missed, added, confused = find_errors(truth, found).values()
    rows, columns = np.indices(truth.shape)
    drawn = picture.copy()
    drawn[truth == 0] //= 2
    hatch_ignored(drawn, truth)
    drawn[missed] = TRUTH_COLOUR
    drawn[added] = PREDICTION_COLOUR
    drawn[added & (diagonals(truth.shape) % 4 < 2)] = 0
    drawn[confused] = _CONFUSED_COLOUR
    drawn[confused & (rows % 4 < 2) & (columns % 4 < 2)] = 255
    return drawn
