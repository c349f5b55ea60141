"""The MLflow run of an interrupted training."""

import logging
from typing import Any

_log = logging.getLogger(__name__)


def resume_run(run_id: str, instead: Any, *, system_metrics: bool) -> Any:
    """Make the MLflow run of an interrupted training the active run again.

    The run that was started in the meantime is deleted: it has the same parameters and files.

    Args:
        run_id: Id of the run to resume.
        instead: MLflow's information about the active run.
        system_metrics: Whether to log processor, memory and disk usage.

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
