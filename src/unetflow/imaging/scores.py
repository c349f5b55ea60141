"""How well a predicted mask agrees with the truth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.labels import IGNORE, Label
from unetflow.imaging.tiling import Probabilities

DEFINITIONS = {
    "dice": "2 TP / (2 TP + FP + FN), of one class in one image; 1 when truth and prediction are "
    "both empty",
    "iou": "TP / (TP + FP + FN), of one class in one image; 1 when truth and prediction are both "
    "empty",
    "precision": "TP / (TP + FP), of one class in one image; 1 when nothing is predicted and "
    "nothing is there, 0 when nothing is predicted but something is there",
    "recall": "TP / (TP + FN), of one class in one image; 1 when nothing is there",
}
"""The definition of each score. TP, FP and FN count pixels; pixels with label 255 never count."""


@dataclass(frozen=True)
class Confusion:
    """Pixel counts of one class in one image."""

    true_positive: int
    false_positive: int
    false_negative: int

    @property
    def is_empty(self) -> bool:
        """Whether the class is neither in the truth nor in the prediction."""
        return not (self.true_positive or self.false_positive or self.false_negative)

    @property
    def dice(self) -> float:
        """Dice coefficient; see `DEFINITIONS`."""
        both = 2 * self.true_positive
        return _ratio(both, both + self.false_positive + self.false_negative, empty=1.0)

    @property
    def iou(self) -> float:
        """Intersection over union; see `DEFINITIONS`."""
        union = self.true_positive + self.false_positive + self.false_negative
        return _ratio(self.true_positive, union, empty=1.0)

    @property
    def precision(self) -> float:
        """Share of the predicted pixels that are right; see `DEFINITIONS`."""
        predicted = self.true_positive + self.false_positive
        return _ratio(self.true_positive, predicted, empty=float(self.false_negative == 0))

    @property
    def recall(self) -> float:
        """Share of the true pixels that are found; see `DEFINITIONS`."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative, empty=1.0)


def count_confusion(truth: Label, predicted: NDArray[np.bool_], index: int = 1) -> Confusion:
    """Count how a prediction of one class agrees with the truth.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        predicted: `(height, width)`, true where the class is predicted.
        index: Index of the class.

    Returns:
        The counts over all pixels that are not ignored.
    """
    counted = truth != IGNORE
    positive = truth == index
    found = predicted & counted
    hits = int(np.count_nonzero(found & positive))
    return Confusion(
        true_positive=hits,
        false_positive=int(np.count_nonzero(found)) - hits,
        false_negative=int(np.count_nonzero(positive)) - hits,
    )


def score_label(truth: Label, found: Label, classes: int) -> dict[int, Confusion]:
    """Count how a label agrees with the truth, for each class that counts in this image.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        found: `(height, width)` class indices.
        classes: Number of classes, the first of which is the background.

    Returns:
        The counts by class index. Of two classes it is the foreground, also where it is absent.
        Of more it is each one but the background that the truth or the label holds where the
        truth is not ignored, and all but the background where they hold none: nothing was there
        and nothing was found.
    """
    counts = {index: count_confusion(truth, found == index, index) for index in range(1, classes)}
    present = {index: c for index, c in counts.items() if not c.is_empty}
    return present or counts


def mean_dice(truth: Label, found: Label, classes: int) -> float:
    """Return the mean Dice of the classes of an image that `score_label` counts."""
    return float(np.mean([c.dice for c in score_label(truth, found, classes).values()]))


def choose_threshold(
    truths_and_probabilities: Iterable[tuple[Label, NDArray[np.floating]]],
    candidates: Sequence[float],
) -> tuple[float, list[float]]:
    """Choose the threshold with the highest mean Dice of the foreground over images.

    Args:
        truths_and_probabilities: For each image the label and the foreground's probability, both
            `(height, width)`. One pair is held at a time.
        candidates: Thresholds in rising order; a pixel is foreground at or above it.

    Returns:
        The best threshold (the middle one of equals) and the mean Dice of each candidate.
    """
    edges = np.asarray(candidates, np.float32)
    rows = []
    for truth, probability in truths_and_probabilities:
        # Which candidates a pixel passes: position p means the first p of them.
        passed = np.searchsorted(edges, probability.astype(np.float32), side="right")
        counts = [
            np.bincount(passed[pixels], minlength=len(edges) + 1)[::-1].cumsum()[::-1][1:]
            for pixels in (truth == 1, truth == 0)
        ]
        positives = int(np.count_nonzero(truth == 1))
        rows.append(
            [
                Confusion(int(tp), int(fp), positives - int(tp)).dice
                for tp, fp in zip(*counts, strict=True)
            ]
        )
    means = np.mean(rows, axis=0)
    best = np.flatnonzero(means >= means.max() - 1e-12)
    return float(candidates[best[len(best) // 2]]), means.tolist()


def decide(probabilities: Probabilities, threshold: float | None) -> Label:
    """Turn the probabilities of the classes into a label.

    Args:
        probabilities: `(height, width, 1)`, of the foreground alone, or `(height, width, classes)`.
        threshold: Of two classes the second one, the foreground, is taken at or above it. None
            takes the most probable class, the first one of equals.

    Returns:
        `(height, width)` uint8, class indices.
    """
    if threshold is None:
        return np.asarray(probabilities.argmax(axis=2), np.uint8)
    return (probabilities[:, :, -1] >= np.float32(threshold)).astype(np.uint8)


def tells_two_apart(probabilities: Probabilities) -> bool:
    """Tell whether there are two classes, between which a threshold can decide."""
    return bool(probabilities.shape[2] <= 2)


def _ratio(part: int, whole: int, empty: float) -> float:
    return part / whole if whole else empty
