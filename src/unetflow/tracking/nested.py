"""Nested MLflow runs."""

from typing import Any


class NestedRun:
    """A child run, such as one fold of a cross-validation.

    It is created when its id is first needed, so that an unreachable server does no harm.

    Args:
        parent: MLflow's information about the parent run.
        name: Name of the child run.
    """

    def __init__(self, parent: Any, name: str) -> None:
        self._parent, self._name = parent, name
        self._run_id: str | None = None

    def find(self) -> str:
        """Return the id of the run."""
        import mlflow

        if self._run_id is None:
            run = mlflow.MlflowClient().create_run(
                self._parent.experiment_id,
                tags={"mlflow.parentRunId": self._parent.run_id},
                run_name=self._name,
            )
            self._run_id = str(run.info.run_id)
        return self._run_id

    def end(self, status: str) -> None:
        """End the run as `FINISHED` or `FAILED`."""
        import mlflow

        mlflow.MlflowClient().set_terminated(self.find(), status)
