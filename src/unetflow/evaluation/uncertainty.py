"""Expected error of a prediction, estimated by test-time augmentation without the truth."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label, Probabilities
from unetflow.data.samples import Sample
from unetflow.inference.tta import Predict, predict_views

Postprocess = Callable[[Probabilities], Label]


DEFINITION = (
    "expected_error: 1 - the Dice expected from the mean probability over the views, "
    "1 - (2 sum(p found) + 1) / (sum(p) + sum(found) + 1), of the foreground, or as a mean over "
    "the classes that are found. disagreement: mean over pixels of the standard deviation of the "
    "probability over the views. error: 1 - dice of the test image. spearman: rank correlation of "
    "expected_error and error over the test images. Ignored pixels are not counted."
)


def expect_error(belief: Probabilities, found: Label, inside: NDArray[np.bool_]) -> float:
    """Return the expected error of a mask; see `DEFINITION`.

    The pixel that is added to numerator and denominator gives an image without foreground, where
    all probabilities are small, an expected error near 0.

    Args:
        belief: Calibrated probabilities `(height, width, classes)`, or 1 for the foreground alone.
        found: `(height, width)`, the mask's class indices.
        inside: `(height, width)`, the pixels that count.
    """
    believed, label = belief[inside].astype(np.float64), found[inside]
    if belief.shape[2] <= 2:
        return _expected_dice_loss(believed[:, -1], label == 1)
    classes = range(1, belief.shape[2])
    present = [index for index in classes if np.any(label == index)] or list(classes)
    return float(np.mean([_expected_dice_loss(believed[:, i], label == i) for i in present]))


def assess_image(
    predict: Predict, postprocess: Postprocess, sample: Sample, views: int
) -> tuple[dict[str, float], NDArray[np.float32]]:
    """Return the expected error of an image, and where the views disagree.

    Returns:
        `expected_error` of the mask of the original view, `disagreement` (see `DEFINITION`), and
        the standard deviation over the views `(height, width)`.
    """
    seen = predict_views(predict, sample.image, views)
    inside = sample.label != IGNORE
    numbers = {
        "expected_error": expect_error(seen.mean, postprocess(seen.plain), inside),
        "disagreement": float(seen.spread[inside].mean()) if inside.any() else 0.0,
    }
    return numbers, seen.spread


def rank_for_review(expected: pd.DataFrame, dice: Mapping[str, float]) -> pd.DataFrame:
    """Sort images by their expected error, the largest first, and add the true `error`.

    Args:
        expected: `id`, `expected_error` and `disagreement`.
        dice: The Dice of each image by id.
    """
    table = expected.assign(error=[1 - dice[sample_id] for sample_id in expected["id"]])
    return table.sort_values("expected_error", ascending=False, kind="stable", ignore_index=True)


def check_expectation(table: pd.DataFrame, views: int) -> dict[str, Any]:
    """Measure how well the expected error orders the images.

    Args:
        table: See `rank_for_review`.
        views: Number of views.

    Returns:
        Plain values: `images`, `views`, `spearman`, which is None where there are fewer than three
        images or all values are equal, and `definition`.
    """
    correlation = None
    if len(table) >= 3 and min(table["expected_error"].nunique(), table["error"].nunique()) > 1:
        from scipy import stats  # half a second, which most runs need not wait for

        correlation = float(stats.spearmanr(table["expected_error"], table["error"]).statistic)
    return {
        "images": len(table),
        "views": views,
        "spearman": correlation,
        "definition": DEFINITION,
    }


def _expected_dice_loss(believed: NDArray[np.float64], found: NDArray[np.bool_]) -> float:
    both = 2 * believed[found].sum() + 1
    return float(1 - both / (believed.sum() + np.count_nonzero(found) + 1))
