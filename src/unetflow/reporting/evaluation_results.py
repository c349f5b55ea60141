"""Contents of the evaluation report, and the selection of the images that it shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unetflow.data.fingerprint import Fingerprint

MAIN = "dice"
"""The score by which the images are ordered."""


@dataclass(frozen=True)
class EvaluationResults:
    """Tables about a model and the data that it was trained and tested on.

    What is None was not computed, and its section of the page says so.

    Attributes:
        manifest: A row for each sample; see `write_data_report`.
        fingerprint: See `data.fingerprint.measure_fingerprint`.
        image_scores: A row for each test image with `id`, `dice` and any other scores.
        metrics: See `evaluation.summary.summarise_scores`.
        threshold_curve: `threshold` and `validation_dice`; no rows where nothing is chosen.
        history: A row for each epoch with `epoch` (from 1), `loss`, `dice`, `val_loss`, `val_dice`.
        calibration: See `evaluation.calibration.describe_calibration`.
        baselines: See `evaluation.baselines.compare_with_baselines`.
        needs_review: `id`, `expected_error` and any other columns, in order of urgency; see
            `evaluation.uncertainty.rank_for_review`.
        review_check: See `evaluation.uncertainty.check_expectation`.
        suspicious_labels: `id` and any other columns, the most suspicious first.
    """

    manifest: pd.DataFrame
    fingerprint: Fingerprint
    image_scores: pd.DataFrame
    metrics: Mapping[str, Any]
    threshold_curve: pd.DataFrame
    history: pd.DataFrame
    calibration: Mapping[str, Any] | None = None
    baselines: Mapping[str, Any] | None = None
    needs_review: pd.DataFrame | None = None
    review_check: Mapping[str, Any] | None = None
    suspicious_labels: pd.DataFrame | None = None

    @property
    def scores(self) -> Mapping[str, Mapping[str, Any]]:
        """Summary of each score by its name."""
        scores: Mapping[str, Mapping[str, Any]] = self.metrics["scores"]
        return scores

    @property
    def best_epoch(self) -> Mapping[str, float]:
        """The history's row of the epoch whose weights were kept."""
        row = self.history.iloc[int(self.history["val_dice"].argmax())]
        return {str(name): float(value) for name, value in row.items()}


def describe_scored(image_scores: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the main score of images beside `height`, `width`, `pixels` and `foreground`."""
    known = manifest[["id", "height", "width", "foreground"]]
    scored: pd.DataFrame = image_scores[["id", MAIN]].merge(known, on="id", validate="one_to_one")
    return scored.assign(pixels=scored["height"] * scored["width"])


def choose_extremes(image_scores: pd.DataFrame, most: int) -> dict[str, list[str]]:
    """Choose the images that are shown, each once.

    Args:
        image_scores: With the columns `id` and `dice`.
        most: Largest number of images of each kind.

    Returns:
        Ids of the "worst", those around the "median", and the "best", in ascending order of their
        score. Some kinds are empty where there are fewer than three images.
    """
    ids = image_scores.sort_values([MAIN, "id"])["id"].tolist()
    number = min(most, max(1, len(ids) // 3))
    worst, rest = ids[:number], ids[number:]
    best = rest[-number:]
    middle = rest[: len(rest) - len(best)]
    first = max(0, (len(middle) - number) // 2)
    return {"worst": worst, "median": middle[first : first + number], "best": best}


def bin_by(table: pd.DataFrame, column: str, most: int = 5) -> pd.DataFrame:
    """Divide images into bins of about equal number by one of their columns.

    Args:
        table: With the column and the main score.
        column: What they are ordered by. Images with the same value stay together.
        most: Largest number of bins; a single one may hold fewer than 4 images, others may not.

    Returns:
        For each bin `low` and `high` (its smallest and largest value), `images` and `median` (of
        the main score).
    """
    bins = int(np.clip(len(table) // 4, 1, most))
    places = pd.qcut(table[column], bins, labels=False, duplicates="drop").fillna(0)
    grouped = table.groupby(places.to_numpy())
    return pd.DataFrame(
        {
            "low": grouped[column].min(),
            "high": grouped[column].max(),
            "images": grouped.size(),
            "median": grouped[MAIN].median(),
        }
    ).reset_index(drop=True)
