"""Where MLflow keeps its runs, and how far it may go to reach that place."""

import os
from pathlib import Path

_DEFAULTS = {
    # Both stop MLflow from talking to the network or loading pickles.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # A server that is gone shall hold up a training for seconds, not for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Environment variables of MLflow; a user may override each."""


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
