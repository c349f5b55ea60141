"""The run of MLflow of a training that was cut off."""

import logging
from typing import Any

_log = logging.getLogger(__name__)


def go_on_with(run_id: str, instead: Any, *, system_metrics: bool) -> Any:
    """Make the run of a training that was cut off the active one again.

    The run that was begun meanwhile is deleted: it holds the same parameters and the same files.

    Args:
        run_id: Of the run to go on with.
        instead: What MLflow knows of the run that is active now.
        system_metrics: Whether to log how busy the machine is.

    Returns:
        What MLflow knows of the run that is active after that: `instead`, with a warning, where
        the other one cannot be gone on with.
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
        _log.warning("MLflow's run %s is not gone on with (%s); this one is new", run_id, error)
        if mlflow.active_run() is None:
            mlflow.start_run(instead.run_id, log_system_metrics=system_metrics)
        return mlflow.active_run().info
    _log.info("Going on with MLflow's run %s", run_id)
    return begun


def count_epochs(run_id: str) -> int:
    """Return the last epoch whose scores a run has; 0 where it has none, or nobody knows."""
    import mlflow

    try:
        history = mlflow.MlflowClient().get_metric_history(run_id, "loss")
    except Exception:  # then what is there is logged twice
        return 0
    return max((point.step for point in history), default=0)
