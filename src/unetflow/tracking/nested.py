"""A run within a run."""

from typing import Any


class NestedRun:
    """A part of a run, such as one fold of a cross-validation, with a run of its own.

    It is made when it is first needed, so that a server that is out of reach just then does no
    harm.

    Args:
        parent: What MLflow knows of the run that it is a part of.
        name: Of the part.
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
        """End it as `FINISHED` or `FAILED`."""
        import mlflow

        mlflow.MlflowClient().set_terminated(self.find(), status)
