"""Runs that an orchestrator makes in parts, each a process of its own, and one run of MLflow."""

import os
import re
from typing import TYPE_CHECKING

from unetflow.core.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN_KEY = "UNETFLOW_RUN"
"""Environment variable with the key that all parts of a run share."""

KEY_TAG = "orchestrator_run"
"""Tag of the MLflow run that keeps this key."""


def read_run_key() -> str | None:
    """Return the key of the run that this process makes a part of; None: it makes a whole one.

    Raises:
        InputError: There are characters in it that MLflow cannot search for.
    """
    key = os.environ.get(RUN_KEY)
    if key and not re.fullmatch(r"[\w.:+-]{1,200}", key):
        raise InputError(
            f"environment variable {RUN_KEY}",
            f"{key!r} is no key of a run",
            "Use up to 200 letters, digits and the signs _ . : + -",
        )
    return key or None


def find_run(client: "MlflowClient", experiment: str, key: str) -> "Run | None":
    """Return the MLflow run that an earlier part began.

    Args:
        client: Of MLflow.
        experiment: The experiment's name.
        key: Of the run.
    """
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return None
    found = client.search_runs([known.experiment_id], f"tags.{KEY_TAG} = '{key}'", max_results=1)
    return found[0] if found else None
