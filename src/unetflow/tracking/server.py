"""Address of the MLflow tracking server, and MLflow's global state in this process."""

import logging
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

_DEFAULTS = {
    # No telemetry over the network, and no pickle.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # An unreachable server delays a training for seconds, not for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Environment variables of MLflow; a user may override each."""

_INHERITED = "MLFLOW_EXPERIMENT_ID"


def set_mlflow_defaults() -> None:
    """Set MLflow's environment variables that the user has not set; call it before the import."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


def locate_tracking(uri: str, project: Path) -> str:
    """Return the address with the path of a relative SQLite file in the project's folder."""
    prefix, scheme, path = uri.partition("sqlite:///")
    if prefix or not scheme or Path(path).is_absolute():
        return uri
    return f"sqlite:///{(project / path).as_posix()}"


def ui_command(uri: str, project: Path) -> str:
    """Return the command that shows the runs from the working folder, or a server's address."""
    if uri.startswith("http"):
        return uri
    if not uri.startswith("sqlite:"):
        store = "$MLFLOW_TRACKING_URI"  # the address may hold a password
    else:
        store = shlex.quote(uri if Path.cwd() == project else locate_tracking(uri, project))
    installed = Path(sys.executable).with_name("mlflow")
    command = "mlflow" if shutil.which("mlflow") else os.path.relpath(installed)
    return f"{command} ui --backend-store-uri {store}"


@dataclass(frozen=True)
class TrackingTarget:
    """Where this process tracks its runs: global state of MLflow, to be restored after a run.

    The address is MLflow's default where it is None. `inherited` is the id of the experiment that
    the environment passes on to child processes.
    """

    uri: str | None = None
    experiment: str | None = None
    inherited: str | None = None

    @classmethod
    def current(cls) -> "TrackingTarget":
        """Return the current target."""
        from mlflow.tracking import fluent

        uri, inherited = os.environ.get("MLFLOW_TRACKING_URI"), os.environ.get(_INHERITED)
        return cls(uri, fluent._active_experiment_id, inherited)

    def restore(self) -> None:
        """Make this the current target again."""
        import mlflow
        from mlflow.tracking import fluent

        mlflow.set_tracking_uri(self.uri)
        # MLflow has no function that resets the active experiment.
        fluent._active_experiment_id = self.experiment
        os.environ.pop(_INHERITED, None)
        if self.inherited is not None:
            os.environ[_INHERITED] = self.inherited


def choose_target(uri: str, experiment: str, project: Path) -> None:
    """Track the process's runs in an experiment, which is created where it does not exist.

    Runs of an SQLite file (see `locate_tracking`) keep their artifacts in the project's folder.
    """
    import mlflow

    mlflow.set_tracking_uri(locate_tracking(uri, project))
    location = (project / "mlruns").as_uri() if uri.startswith("sqlite:") else None
    existing = mlflow.get_experiment_by_name(experiment)
    if existing is None:
        mlflow.create_experiment(experiment, artifact_location=location)
    elif location not in (None, existing.artifact_location):
        _log.warning(
            "The artifacts of MLflow's experiment '%s' go to %s, the project's folder when the "
            "experiment was created. Set MLFLOW_EXPERIMENT_NAME to create another one here.",
            experiment,
            existing.artifact_location,
        )
    mlflow.set_experiment(experiment)
