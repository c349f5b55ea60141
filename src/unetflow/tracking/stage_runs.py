"""One MLflow run for the stages that an orchestrator runs as processes of their own."""

import os
import re
from typing import TYPE_CHECKING

from unetflow.core.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN_KEY = "UNETFLOW_RUN"
"""Environment variable with the key that all stages of a run share."""

KEY_TAG = "orchestrator_run"
"""Tag of the MLflow run that holds this key."""


def read_run_key() -> str | None:
    """Return the key of the run that this process is a stage of; None where it is a whole run.

    Raises:
        InputError: The key has characters that MLflow cannot search for.
    """
    key = os.environ.get(RUN_KEY)
    if key and not re.fullmatch(r"[\w.:+-]{1,200}", key):
        raise InputError(
            f"environment variable {RUN_KEY}",
            f"{key!r} is not a valid key",
            "Use up to 200 letters, digits and the signs _ . : + -",
        )
    return key or None


def find_run(client: "MlflowClient", experiment: str, key: str) -> "Run | None":
    """Return the MLflow run that an earlier stage has started.

    Args:
        client: MLflow's client.
        experiment: Name of the experiment.
        key: Key of the run.
    """
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return None
    found = client.search_runs([known.experiment_id], f"tags.{KEY_TAG} = '{key}'", max_results=1)
    return found[0] if found else None
