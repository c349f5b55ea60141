"""From probabilities to a label."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import Label, Probabilities
from unetflow.metrics.pixels import Confusion


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


def tells_two_apart(probabilities: Probabilities) -> bool:
    """Tell whether there are two classes, between which a threshold can decide."""
    return bool(probabilities.shape[2] <= 2)
