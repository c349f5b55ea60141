"""Search for wrong labels among the training images, by the loss of the trained network."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from unetflow.core.types import IGNORE, Label, Probabilities
from unetflow.data.samples import Sample
from unetflow.metrics.pixels import mean_dice
from unetflow.visualization.figures import Specimen

_SMALLEST = 1e-7
"""Networks round to 0, which has no logarithm."""


def measure_losses(
    predict: Callable[[NDArray[np.generic]], Probabilities],
    postprocess: Callable[[Probabilities], Label],
    samples: Mapping[str, Sample],
    classes: int,
) -> pd.DataFrame:
    """Compare each sample's label with the prediction.

    Args:
        predict: Returns the calibrated probabilities of an image.
        postprocess: Returns the label of these probabilities.
        samples: Training samples, opened one at a time. Those without a counted pixel are left out.
        classes: Number of classes.

    Returns:
        A row for each sample, the largest loss first: `id`; `loss`, the mean cross-entropy of its
        counted pixels in nats; `z_score`, see `robust_z_scores`; and `dice`, see `mean_dice`.
    """
    rows = []
    for sample_id, sample in samples.items():
        if (sample.label != IGNORE).any():
            found = predict(sample.image)
            loss = mean_cross_entropy(sample.label, found)
            dice = mean_dice(sample.label, postprocess(found), classes)
            rows.append({"id": sample_id, "loss": loss, "dice": dice})
    table = pd.DataFrame(rows, columns=["id", "loss", "dice"])
    table.insert(2, "z_score", robust_z_scores(table["loss"]))
    return table.sort_values("loss", ascending=False, kind="stable", ignore_index=True)


def mean_cross_entropy(truth: Label, probabilities: Probabilities) -> float:
    """Return the mean of -log(probability of the true class) over the pixels that count.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        probabilities: `(height, width, classes)`, or 1 for the foreground alone.
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


def show_worst(
    losses: pd.DataFrame,
    samples: Mapping[str, Sample],
    segment: Callable[[NDArray[np.generic]], Label],
    most: int,
) -> Sequence[Specimen]:
    """Return the samples with the largest losses, suspicious or not.

    Args:
        losses: See `measure_losses`.
        samples: The samples.
        segment: Returns the label of an image.
        most: Number of samples.
    """
    specimens = []
    for row in losses.head(most).itertuples():
        sample = samples[str(row.id)]
        title = f"{row.id}: loss {row.loss:.3f}, z {row.z_score:.1f}"
        specimens.append(Specimen(title, sample.image, sample.label, segment(sample.image)))
    return specimens
