"""Where MLflow keeps its runs, and how far it may go to reach that place."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

_DEFAULTS = {
    # Both stop MLflow from talking to the network or loading pickles.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # A server that is gone shall hold up a training for seconds, not for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Environment variables of MLflow; a user may override each."""

_INHERITED = "MLFLOW_EXPERIMENT_ID"


def restrain_mlflow() -> None:
    """Set MLflow's environment variables, before it is imported, where the user has not."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


def locate_tracking(uri: str, project: Path) -> str:
    """Make a relative SQLite file lie in the project's folder, wherever the run is started."""
    prefix, scheme, path = uri.partition("sqlite:///")
    if prefix or not scheme or Path(path).is_absolute():
        return uri
    return f"sqlite:///{(project / path).as_posix()}"


@dataclass(frozen=True)
class Place:
    """Where a process tracks its runs, which MLflow keeps for all that runs in it later.

    Attributes:
        uri: Of the tracking server; None: MLflow's default.
        experiment: The id of the experiment that was chosen; None: none was.
        inherited: The id that the environment gives to processes that are started; None: none.
    """

    uri: str | None = None
    experiment: str | None = None
    inherited: str | None = None

    @classmethod
    def now(cls) -> "Place":
        """Return the place that is chosen now."""
        from mlflow.tracking import fluent

        uri, inherited = os.environ.get("MLFLOW_TRACKING_URI"), os.environ.get(_INHERITED)
        return cls(uri, fluent._active_experiment_id, inherited)

    def choose(self) -> None:
        """Choose this place again."""
        import mlflow
        from mlflow.tracking import fluent

        mlflow.set_tracking_uri(self.uri)
        # MLflow has no call that gives an experiment up.
        fluent._active_experiment_id = self.experiment
        os.environ.pop(_INHERITED, None)
        if self.inherited is not None:
            os.environ[_INHERITED] = self.inherited


def choose_place(uri: str, experiment: str, project: Path) -> None:
    """Track the process's runs in an experiment, which is made where it does not exist.

    Args:
        uri: See `locate_tracking`.
        experiment: The experiment's name.
        project: The project's folder, where runs of an SQLite file keep their artifacts.
    """
    import mlflow

    mlflow.set_tracking_uri(locate_tracking(uri, project))
    location = (project / "mlruns").as_uri() if uri.startswith("sqlite:") else None
    existing = mlflow.get_experiment_by_name(experiment)
    if existing is None:
        mlflow.create_experiment(experiment, artifact_location=location)
    elif location not in (None, existing.artifact_location):
        _log.warning(
            "The artifacts of MLflow's experiment '%s' go to %s, where the project was when it "
            "began. Set MLFLOW_EXPERIMENT_NAME to begin another one here.",
            experiment,
            existing.artifact_location,
        )
    mlflow.set_experiment(experiment)
