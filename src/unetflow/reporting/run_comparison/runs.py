"""Differences between trainings: in parameters, in scores, and on single images."""

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
    """Tracked run of an evaluated training.

    Attributes:
        id: The run's id.
        name: The run's name, for example `training`.
        started: Time of its start, in ISO 8601 with the time zone.
        parameters: Each parameter by its path, as in `training.epochs`.
        tags: Tags, for example `data_digest` and `preset`.
        history: A row for each epoch, with the columns of `history.csv`.
        image_scores: A row for each test image, with the columns of `image_scores.csv`.
        metrics: The content of `metrics.json`.
        load_segment: Loads the run's segmenter and returns its function from image to label; None
            where the run has no model.
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
    """Return a label for each run: the first characters of its id, at least 8.

    Raises:
        InputError: There are fewer than two runs, or one occurs twice.
    """
    fix = "Give the ids of two or more runs, as in --params runs=ID+ID"
    if len(runs) < 2:
        raise InputError(
            "runs", f"there is {len(runs)} evaluated training, and two are needed", fix
        )
    ids = [run.id for run in runs]
    if len(set(ids)) < len(ids):
        raise InputError("runs", "the same run occurs twice", fix)
    length = 8
    while len({run_id[:length] for run_id in ids}) < len(ids):
        length += 1
    return [run_id[:length] for run_id in ids]


def find_differences(runs: Sequence[TrackedRun]) -> pd.DataFrame:
    """Return the parameters in which runs differ.

    Returns:
        A row for each such parameter, in alphabetical order, with the column `parameter` and a
        column for each run, named by `label_runs`; "-" where a run has no such parameter.
    """
    parameters = zip(label_runs(runs), (dict(run.parameters) for run in runs), strict=True)
    table = pd.DataFrame(dict(parameters)).fillna("-").sort_index().rename_axis("parameter")
    return table[table.nunique(axis="columns") > 1].reset_index()


def align_scores(runs: Sequence[TrackedRun], score: str) -> pd.DataFrame:
    """Return one score of the images that all runs have scored.

    Args:
        runs: The runs.
        score: A column of `image_scores`.

    Returns:
        A row for each such image in the first run's order, with its id as index and the runs as
        columns, named by `label_runs`.
    """
    columns = {}
    for label, run in zip(label_runs(runs), runs, strict=True):
        table = run.image_scores.set_index("id")
        columns[label] = table[score] if score in table else pd.Series(dtype=float)
    aligned = pd.concat(columns, axis="columns", join="inner").dropna()
    return aligned.loc[[i for i in runs[0].image_scores["id"] if i in aligned.index]]


def choose_disputed(aligned: pd.DataFrame, most: int) -> list[str]:
    """Return the ids of the images with the largest difference between best and worst score.

    Args:
        aligned: See `align_scores`.
        most: Largest number of images.

    Returns:
        The ids, the largest difference first; images with equal scores are left out.
    """
    spread = (aligned.max(axis="columns") - aligned.min(axis="columns")).sort_values(
        ascending=False, kind="stable"
    )
    return [str(i) for i in spread.index[spread > 0][:most]]


def same_data(runs: Sequence[TrackedRun]) -> bool | None:
    """Return whether all runs were trained on the same data; None where it is unknown."""
    digests = [run.tags.get("data_digest") for run in runs]
    return None if None in digests else len(set(digests)) == 1
