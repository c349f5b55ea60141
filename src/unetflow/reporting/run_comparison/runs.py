"""What tells several trainings apart: their parameters, their scores, and single images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import Label

Segment = Callable[[NDArray[np.generic]], Label]


@dataclass(frozen=True)
class TrackedRun:
    """A training that was evaluated, as its run was tracked.

    Attributes:
        id: The run's id.
        name: What the run is called, such as `training`.
        started: When it began, in ISO 8601 with the time zone.
        parameters: Each parameter by its path, as in `training.epochs`.
        tags: Such as `data_digest` and `preset`.
        history: A row for each epoch, with the columns of `history.csv`.
        image_scores: A row for each test image, with the columns of `image_scores.csv`.
        metrics: The content of `metrics.json`.
        load_segment: Loads the run's segmenter and returns what turns an image into a label; None
            where the run has kept no model.
    """

    id: str
    name: str
    started: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    history: pd.DataFrame
    image_scores: pd.DataFrame
    metrics: Mapping[str, object]
    load_segment: Callable[[], Segment] | None = None


def label_runs(runs: Sequence[TrackedRun]) -> list[str]:
    """Return a short name for each run by which people can find it: the beginning of its id.

    Raises:
        InputError: There are fewer than two, or one stands twice.
    """
    fix = "Give the ids of two or more runs, as in --params runs=ID+ID"
    if len(runs) < 2:
        raise InputError("runs", f"there is {len(runs)} evaluated training, not two", fix)
    ids = [run.id for run in runs]
    if len(set(ids)) < len(ids):
        raise InputError("runs", "the same run stands twice", fix)
    length = 8
    while len({run_id[:length] for run_id in ids}) < len(ids):
        length += 1
    return [run_id[:length] for run_id in ids]


def find_differences(runs: Sequence[TrackedRun]) -> pd.DataFrame:
    """Return the parameters in which runs differ.

    Returns:
        A row for each such parameter, in alphabetical order, with the column `parameter` and one
        for each run, named by `label_runs`; "-" where a run has no such parameter.
    """
    labels = label_runs(runs)
    names = sorted(set().union(*(run.parameters for run in runs)))
    rows = []
    for name in names:
        values = [run.parameters.get(name, "-") for run in runs]
        if len(set(values)) > 1:
            rows.append([name, *values])
    return pd.DataFrame(rows, columns=["parameter", *labels])


def align_scores(runs: Sequence[TrackedRun], score: str) -> pd.DataFrame:
    """Return one score of the images that all runs were tested on.

    Args:
        runs: The runs.
        score: A column of `image_scores`.

    Returns:
        A row for each image that every run has tested and given that score, in the first run's
        order; the index is the image's id, and the columns are the runs by `label_runs`.
    """
    columns = []
    for label, run in zip(label_runs(runs), runs, strict=True):
        table = run.image_scores.set_index("id")
        scores = table[score] if score in table.columns else pd.Series(dtype=float)
        columns.append(scores.rename(label))
    aligned = pd.concat(columns, axis="columns", join="inner").dropna()
    first = columns[0].index
    return aligned.loc[[i for i in first if i in aligned.index]]


def choose_disputed(aligned: pd.DataFrame, most: int) -> list[str]:
    """Return the images on which runs disagree most: whose best and worst score lie apart.

    Args:
        aligned: As `align_scores` makes it.
        most: How many images to return at most.

    Returns:
        Their ids, the most disputed first; none on which all agree.
    """
    spread = (aligned.max(axis="columns") - aligned.min(axis="columns")).sort_values(
        ascending=False, kind="stable"
    )
    return [str(i) for i in spread.index[spread > 0][:most]]


def same_data(runs: Sequence[TrackedRun]) -> bool | None:
    """Tell whether all runs were trained on the same data; None where one does not say."""
    digests = [run.tags.get("data_digest") for run in runs]
    return None if None in digests else len(set(digests)) == 1
