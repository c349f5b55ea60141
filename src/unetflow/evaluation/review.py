"""Images to look at again: uncertain predictions, and training images with suspicious labels.

The error of a prediction is expected by test-time augmentation without the truth; wrong labels are
found by the loss of the trained network.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy
from numpy.typing import ArrayLike, NDArray

from unetflow.core.types import IGNORE, Label, Probabilities
from unetflow.data.samples import Sample, SampleFolder
from unetflow.evaluation.charged import count_found
from unetflow.inference.tta import Predict, predict_views
from unetflow.metrics.pixels import image_dice
from unetflow.visualization.figures import Specimen

if TYPE_CHECKING:
    from unetflow.inference.segmenter import Segmenter

Postprocess = Callable[[Probabilities], Label]

UNCERTAINTY_DEFINITION = (
    "expected_error: 1 - the Dice expected from the mean probability over the views, "
    "1 - (2 sum(p found) + 1) / (sum(p) + sum(found) + 1), of the foreground, or as a mean over "
    "the classes that are found. disagreement: mean over pixels of the standard deviation of the "
    "probability over the views. error: 1 - dice of the test image, missing where it holds no "
    "foreground. spearman: rank correlation of expected_error and error over the test images that "
    "have both. Ignored pixels are not counted."
)
_SMALLEST = 1e-7
"""Networks round to 0, which has no logarithm."""


def expect_error(belief: Probabilities, found: Label, inside: NDArray[np.bool_]) -> float:
    """Return the expected error of a mask; see `UNCERTAINTY_DEFINITION`.

    The pixel that is added to numerator and denominator gives an image without foreground, where
    all probabilities are small, an expected error near 0. The belief is calibrated probabilities
    `(height, width, classes)`, or 1 for the foreground alone; pixels `inside` count.
    """
    believed, label = belief[inside].astype(np.float64), found[inside]
    if belief.shape[2] <= 2:
        return _expected_dice_loss(believed[:, -1], label == 1)
    classes = range(1, belief.shape[2])
    present = [index for index in classes if np.any(label == index)] or list(classes)
    return float(np.mean([_expected_dice_loss(believed[:, i], label == i) for i in present]))


def _expected_dice_loss(believed: NDArray[np.float64], found: NDArray[np.bool_]) -> float:
    both = 2 * believed[found].sum() + 1
    return float(1 - both / (believed.sum() + np.count_nonzero(found) + 1))


def assess_image(
    predict: Predict, postprocess: Postprocess, sample: Sample, views: int
) -> tuple[dict[str, float], NDArray[np.float32]]:
    """Return the expected error of an image, and where the views disagree.

    These are `expected_error` of the mask of the original view, `disagreement` (see
    `UNCERTAINTY_DEFINITION`), and the standard deviation over the views `(height, width)`.
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

    The table has `id`, `expected_error` and `disagreement`; `dice` is by id.
    """
    table = expected.assign(error=[1 - dice[sample_id] for sample_id in expected["id"]])
    return table.sort_values("expected_error", ascending=False, kind="stable", ignore_index=True)


def check_expectation(table: pd.DataFrame, views: int) -> dict[str, Any]:
    """Measure how well the expected error orders the images of `rank_for_review`.

    Returns:
        Plain values: `images`, `views`, `spearman`, which is None where there are fewer than three
        images or all values are equal, and `definition`.
    """
    correlation = None
    known = table.dropna(subset="error")
    if len(known) >= 3 and min(known["expected_error"].nunique(), known["error"].nunique()) > 1:
        correlation = float(
            scipy.stats.spearmanr(known["expected_error"], known["error"]).statistic
        )
    counts = {"images": len(table), "views": views}
    return {**counts, "spearman": correlation, "definition": UNCERTAINTY_DEFINITION}


def measure_losses(
    predict: Predict, postprocess: Postprocess, samples: Mapping[str, Sample], classes: int
) -> pd.DataFrame:
    """Compare each sample's label with the prediction.

    The samples are opened one at a time; those without a counted pixel are left out.

    Returns:
        A row for each sample, the largest loss first: `id`; `loss`, the mean cross-entropy of its
        counted pixels in nats; `z_score`, see `robust_z_scores`; and `dice`, see `image_dice`.
    """
    rows = []
    for sample_id, sample in samples.items():
        if (sample.label != IGNORE).any():
            found = predict(sample.image)
            loss = mean_cross_entropy(sample.label, found)
            dice = image_dice(sample.label, postprocess(found), classes)
            rows.append({"id": sample_id, "loss": loss, "dice": dice})
    table = pd.DataFrame(rows, columns=["id", "loss", "dice"])
    table.insert(2, "z_score", robust_z_scores(table["loss"]))
    return table.sort_values("loss", ascending=False, kind="stable", ignore_index=True)


def mean_cross_entropy(truth: Label, probabilities: Probabilities) -> float:
    """Return the mean of -log(probability of the true class) over the pixels that count.

    The probabilities are `(height, width, classes)`, or 1 for the foreground alone.
    """
    counted = truth != IGNORE
    labels, found = truth[counted].astype(np.intp), probabilities[counted].astype(np.float64)
    if found.shape[1] == 1:
        of_truth = np.where(labels == 1, found[:, 0], 1 - found[:, 0])
    else:
        of_truth = np.take_along_axis(found, labels[:, np.newaxis], axis=1)[:, 0]
    return float(-np.log(np.maximum(of_truth, _SMALLEST)).mean())


def robust_z_scores(values: ArrayLike) -> NDArray[np.float64]:
    """Return the distance of each value from the median, in robust standard deviations.

    This is the modified z-score of Iglewicz and Hoaglin (1993, How to Detect and Handle Outliers),
    (x - median) / (1.4826 MAD), where the median absolute deviation replaces the standard
    deviation, which outliers inflate. Where more than half of the values are equal, the mean
    absolute deviation times 1.2533 replaces it, as they propose. All scores are 0 where all values
    are equal.
    """
    numbers = np.asarray(values, np.float64)
    if not numbers.size:
        return numbers
    differences = numbers - np.median(numbers)
    scale = 1.4826 * np.median(np.abs(differences)) or 1.2533 * np.mean(np.abs(differences))
    return np.asarray(differences / scale if scale else np.zeros_like(numbers))


def choose_worst(losses: pd.DataFrame, most: int) -> dict[str, str]:
    """Return the titles of up to `most` samples with the largest losses by their ids.

    The losses are those of `measure_losses`; they need not be suspicious.
    """
    return {
        str(row.id): f"{row.id}: loss {row.loss:.3f}, z {row.z_score:.1f}"
        for row in losses.head(most).itertuples()
    }


def make_specimen(
    title: str,
    sample_id: str,
    samples: SampleFolder,
    segmenter: "Segmenter",
    champion: "Segmenter | None" = None,
) -> Specimen:
    """Open a sample, and return it with what a segmenter, and a champion, find in it.

    Objects are those that the sample numbers, and those that a segmenter separates by more than
    connected components.
    """
    sample = samples[sample_id]
    found, found_objects = _segment(segmenter, sample.image)
    theirs, their_objects = None, None
    if champion is not None:
        theirs, their_objects = _segment(champion, sample.image)
    return Specimen(
        title,
        sample.image,
        np.asarray(sample.label),
        found,
        theirs,
        true_objects=samples.instances(sample_id),
        found_objects=found_objects,
        champion_objects=their_objects,
    )


def _segment(
    segmenter: "Segmenter", image: NDArray[np.generic]
) -> tuple[Label, NDArray[np.uint32] | None]:
    """Return the label of an image, and the numbers of its objects where they are separated."""
    if not segmenter.postprocessing.separates:
        return segmenter.predict(image), None
    _, label, objects = segmenter.segment(image)
    return label, None if objects is None else objects.numbers


def choose_specimens(image_scores: pd.DataFrame, most: int) -> dict[str, str]:
    """Return the titles of the images in the gallery by their ids.

    These are up to `most` images with foreground, half of them the worst, half the best, worst
    first; and up to half as many empty images with false alarms, the largest first. Where there are
    neither, they are the first empty images.
    """
    ranked = image_scores.dropna(subset="dice").sort_values("dice", ignore_index=True)
    shown = ranked.drop(ranked.index[most - most // 2 : len(ranked) - most // 2])
    titles = {
        str(sample_id): f"{sample_id}: Dice {dice:.3f}"
        for sample_id, dice in zip(shown["id"], shown["dice"], strict=True)
    }
    empty = image_scores[image_scores["dice"].isna()]
    empty = empty.assign(found=count_found(empty)).sort_values(
        "found", ascending=False, kind="stable"
    )
    alarms = empty[empty["found"] > 0].head(max(most // 2, 1))
    for sample_id, found in zip(alarms["id"], alarms["found"], strict=True):
        titles[str(sample_id)] = f"{sample_id}: empty, false alarm of {found:,} pixels"
    if not titles:
        titles = {str(i): f"{i}: empty, nothing found" for i in empty["id"].head(most)}
    return titles
