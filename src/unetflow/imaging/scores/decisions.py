"""From probabilities to a label."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.labels import Label
from unetflow.imaging.scores.pixels import Confusion
from unetflow.imaging.tiling import Probabilities


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
        positives, negatives = (int(np.count_nonzero(truth == index)) for index in (1, 0))
        rows.append(
            [
                Confusion(int(tp), int(fp), positives - int(tp), negatives - int(fp)).dice
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
