"""MLflow's runs: their tags, and runs that stages share, that are nested, or that are resumed."""

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetflow.core.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_log = logging.getLogger(__name__)

RUN_KEY = "UNETFLOW_RUN"
"""Environment variable with the key that all stages of a run share."""

KEY_TAG = "orchestrator_run"
"""Tag of the MLflow run that holds this key."""


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested parameters with their path, such as `training.epochs`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def git_tags(folder: Path) -> dict[str, str]:
    """Return the commit of a folder, and whether files differ from it; empty without git."""
    try:
        import git  # comes with MLflow; the import fails where git is not installed

        repository = git.Repo(folder, search_parent_directories=True)
        return {
            "mlflow.source.git.commit": repository.head.commit.hexsha,
            "git_dirty": str(repository.is_dirty()).lower(),
        }
    except (ImportError, ValueError):  # no git, or no commit yet
        return {}
    except git.GitError:  # no repository
        return {}


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
    """Return the run of this key that an earlier stage has started in an experiment of a name."""
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return None
    found = client.search_runs([known.experiment_id], f"tags.{KEY_TAG} = '{key}'", max_results=1)
    return found[0] if found else None


def nest_run(parent: Any, name: str) -> Callable[[], str]:
    """Return a function that returns the id of a child run, such as one fold's.

    The run is created when its id is first needed, so that an unreachable server does no harm.

    Args:
        parent: MLflow's information about the parent run.
        name: Name of the child run.
    """
    import mlflow

    @cache
    def find() -> str:
        tags = {"mlflow.parentRunId": parent.run_id}
        run = mlflow.MlflowClient().create_run(parent.experiment_id, tags=tags, run_name=name)
        return str(run.info.run_id)

    return find


def resume_run(run_id: str, instead: Any, *, system_metrics: bool) -> Any:
    """Make the MLflow run of an interrupted training the active run again.

    The run that was started in the meantime is deleted: it has the same parameters and files.

    Args:
        run_id: Id of the run to resume.
        instead: MLflow's information about the active run.
        system_metrics: See `Tracker`.

    Returns:
        MLflow's information about the run that is active now: `instead`, with a warning, where
        the other run cannot be resumed.
    """
    import mlflow

    client = mlflow.MlflowClient()
    try:
        begun = client.get_run(run_id).info
        if begun.lifecycle_stage != "active" or begun.experiment_id != instead.experiment_id:
            raise LookupError("it is deleted or in another experiment")
        mlflow.end_run("KILLED")
        mlflow.start_run(run_id, log_system_metrics=system_metrics)
        if "error" in client.get_run(run_id).data.tags:
            client.delete_tag(run_id, "error")
        client.delete_run(instead.run_id)
    except Exception as error:  # a record must not cost a training
        _log.warning("MLflow's run %s cannot be resumed (%s); this run is new", run_id, error)
        if mlflow.active_run() is None:
            mlflow.start_run(instead.run_id, log_system_metrics=system_metrics)
        return mlflow.active_run().info
    _log.info("Resuming MLflow's run %s", run_id)
    return begun


def count_logged_epochs(run_id: str) -> int:
    """Return the last epoch whose scores a run has; 0 where there is none or MLflow fails."""
    import mlflow

    try:
        history = mlflow.MlflowClient().get_metric_history(run_id, "loss")
    except Exception:  # then the epochs are logged twice, which does no harm
        return 0
    return max((point.step for point in history), default=0)
