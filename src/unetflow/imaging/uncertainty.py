"""What flips and turns of an image tell about how far its prediction can be trusted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.labels import IGNORE, Label
from unetflow.imaging.samples import Sample
from unetflow.imaging.tiling import Predictor, Probabilities

Pixel = TypeVar("Pixel", bound=np.generic)
Predict = Callable[[NDArray[np.generic]], Probabilities]
Decide = Callable[[Probabilities], Label]

# Quarter turns, and whether columns are mirrored before. The first four keep the image's shape.
_SYMMETRIES = (
    (0, False),
    (2, False),
    (0, True),
    (2, True),
    (1, False),
    (3, False),
    (1, True),
    (3, True),
)
MOST_VIEWS = len(_SYMMETRIES)

DEFINITION = (
    "expected_error: 1 - the Dice that the mean probability over the views leads to expect, "
    "1 - (2 sum(p found) + 1) / (sum(p) + sum(found) + 1), of the foreground, or as a mean over "
    "the classes that are found. disagreement: the mean over pixels of the standard deviation of "
    "the probability over the views. error: 1 - dice of the test image. spearman: rank correlation "
    "of expected_error and error over the test images. Ignored pixels count nowhere."
)


@dataclass(frozen=True)
class Views:
    """What several views of one image gave.

    Attributes:
        plain: `(height, width, classes)`, the probabilities of the image as it is.
        mean: The same, the mean over the views.
        spread: `(height, width)` float32, the standard deviation over the views; of several
            classes the largest. It is this and not the entropy of the mean, because the entropy
            is also high where all views agree that a pixel lies on an edge, while a spread shows
            where the network contradicts itself.
    """

    plain: Probabilities
    mean: Probabilities
    spread: NDArray[np.float32]


def turn(image: NDArray[Pixel], view: int) -> NDArray[Pixel]:
    """Return one of the 8 views of an image; view 0 is the image itself.

    Args:
        image: `(height, width, ...)`.
        view: From 0 to 7; from 4 on height and width change places.
    """
    quarters, mirrored = _SYMMETRIES[view]
    return np.rot90(image[:, ::-1] if mirrored else image, quarters)


def turn_back(image: NDArray[Pixel], view: int) -> NDArray[Pixel]:
    """Undo `turn`."""
    quarters, mirrored = _SYMMETRIES[view]
    back = np.rot90(image, -quarters)
    return back[:, ::-1] if mirrored else back


def predict_views(predict: Predict, image: NDArray[np.generic], views: int) -> Views:
    """Predict several views of an image and lay the results on each other.

    Mean and spread are updated view by view (Welford 1962, Technometrics 4:419), so that no more
    than one prediction is in memory besides.

    Args:
        predict: Turns an image into probabilities of its size.
        image: `(height, width, channels)`.
        views: How many of the 8 symmetries of a square, from 1 on.
    """
    plain = predict(image)
    mean, squares = plain.copy(), np.zeros_like(plain)
    for view in range(1, views):
        found = turn_back(predict(np.ascontiguousarray(turn(image, view))), view)
        step = found - mean
        mean += step / np.float32(view + 1)
        squares += step * (found - mean)
    # Rounding may leave a square just below zero.
    spread = np.sqrt(np.maximum(squares, 0) / np.float32(views)).max(axis=2)
    return Views(plain, mean, np.asarray(spread, np.float32))


def average_views(predictor: Predictor, views: int) -> Predictor:
    """Return a predictor that averages over several views of each window.

    In whole images and in tiles it gives the same, as the predictor itself does: windows begin and
    end where the network's poolings do, seen from either side.

    Args:
        predictor: See `tiling.predict_tiled`.
        views: How many of the 8 symmetries of a square, from 1 on.

    Raises:
        InputError: There are no so many.
    """
    if not 1 <= views <= MOST_VIEWS:
        raise InputError(
            "views", f"there are no {views} views of an image", f"Use 1 to {MOST_VIEWS}"
        )

    def predict(stacked: NDArray[np.generic]) -> Probabilities:
        return np.moveaxis(predictor(np.ascontiguousarray(np.moveaxis(stacked, 2, 0))), 0, 2)

    return lambda windows: np.moveaxis(
        predict_views(predict, np.moveaxis(windows, 0, 2), views).mean, 2, 0
    )


def expect_error(belief: Probabilities, found: Label, inside: NDArray[np.bool_]) -> float:
    """Return how much Dice a mask is expected to lack, if probabilities are to be believed.

    Args:
        belief: `(height, width, classes)`, or 1 for the foreground's alone.
        found: `(height, width)`, the mask's class indices.
        inside: `(height, width)`, the pixels that count.

    Returns:
        See `DEFINITION`. The pixel that is added above and below lets an image without foreground,
        of which little probability is left, expect no error.
    """
    believed, label = belief[inside].astype(np.float64), found[inside]
    if belief.shape[2] <= 2:
        return _lacking(believed[:, -1], label == 1)
    classes = range(1, belief.shape[2])
    present = [index for index in classes if np.any(label == index)] or list(classes)
    return float(np.mean([_lacking(believed[:, index], label == index) for index in present]))


def assess_image(
    predict: Predict, decide: Decide, sample: Sample, views: int
) -> tuple[dict[str, float], NDArray[np.float32]]:
    """Say of one image how wrong its mask is expected to be, and where the views differ.

    Returns:
        `expected_error` and `disagreement` (see `DEFINITION`), and the spread `(height, width)`.
        The mask is that of the image as it is, since that is what the segmenter gives.
    """
    seen = predict_views(predict, sample.image, views)
    inside = sample.label != IGNORE
    numbers = {
        "expected_error": expect_error(seen.mean, decide(seen.plain), inside),
        "disagreement": float(seen.spread[inside].mean()) if inside.any() else 0.0,
    }
    return numbers, seen.spread


def rank_for_review(expected: pd.DataFrame, dice: Mapping[str, float]) -> pd.DataFrame:
    """Order images by their expected error, the largest first, and put the true one beside it.

    Args:
        expected: `id`, `expected_error` and `disagreement`.
        dice: The Dice of each image by id.
    """
    table = expected.assign(error=[1 - dice[sample_id] for sample_id in expected["id"]])
    return table.sort_values("expected_error", ascending=False, kind="stable", ignore_index=True)


def check_expectation(table: pd.DataFrame, views: int) -> dict[str, Any]:
    """Say how well the expected error orders the images.

    Args:
        table: As `rank_for_review` makes it.
        views: How many views it comes from.

    Returns:
        Plain values: `images`, `views`, `spearman`, which is None where there are fewer than three
        images or all are alike, and `definition`.
    """
    telling = len(table) >= 3 and min(table["expected_error"].nunique(), table["error"].nunique())
    correlation = None
    if telling and telling > 1:
        from scipy import stats  # half a second, which most runs need not wait for

        correlation = float(stats.spearmanr(table["expected_error"], table["error"]).statistic)
    return {
        "images": len(table),
        "views": views,
        "spearman": correlation,
        "definition": DEFINITION,
    }


def _lacking(believed: NDArray[np.float64], found: NDArray[np.bool_]) -> float:
    both = 2 * believed[found].sum() + 1
    return float(1 - both / (believed.sum() + np.count_nonzero(found) + 1))
