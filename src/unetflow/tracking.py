"""Tracking of a run in MLflow, which is imported when a run starts, since that costs seconds."""

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unetflow.unet import Segmenter

_log = logging.getLogger(__name__)

_MODEL_REQUIREMENTS = (
    "imagecodecs",
    "keras",
    "numpy",
    "pillow",
    "scikit-image",
    "scipy",
    "tensorflow",
    "tensorflow-cpu",
    "tifffile",
)


class Tracker:
    """One run of MLflow.

    Args:
        project: The project's folder; a relative SQLite file and the artifacts lie there.
        tracking_uri: Where MLflow keeps its runs.
        experiment: The experiment's name; it is made when it is not there.
    """

    def __init__(self, project: Path, tracking_uri: str, experiment: str) -> None:
        # Both stop MLflow from talking to the network or loading pickles; a user may override.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        import mlflow

        self._mlflow = mlflow
        self._project = project
        self._uri_before = os.environ.get("MLFLOW_TRACKING_URI")
        self._tracking_uri = tracking_uri
        mlflow.set_tracking_uri(_absolute_sqlite(tracking_uri, project))
        local = tracking_uri.startswith("sqlite:")
        location = (project / "mlruns").as_uri() if local else None
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

    def start(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Start the run and log its parameters, its tags, its command and the git commit."""
        while self._mlflow.active_run():  # left over from a run that was interrupted
            self._mlflow.end_run("KILLED")
        self._mlflow.start_run(run_name=name)
        self._mlflow.log_params(dict(flatten(parameters)))
        self._mlflow.set_tags(
            {
                "pipeline": name,
                "command": shlex.join(["kedro", *sys.argv[1:]]),
                **git_tags(self._project),
                **tags,
            }
        )

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags to the run."""
        self._mlflow.set_tags(dict(tags))

    def log_artifact(self, path: Path) -> None:
        """Copy a file into the run."""
        self._mlflow.log_artifact(str(path))

    def log_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Log the mean of each score of the test images, and the pooled ones, as `test_<score>`."""
        self._mlflow.log_metrics(
            {f"test_{name}": score["mean"] for name, score in metrics["scores"].items()}
            | {f"test_{name}": score["value"] for name, score in metrics["pooled"].items()}
            | ({"threshold": metrics["threshold"]} if metrics["threshold"] is not None else {})
        )

    def log_model(self, path: Path, segmenter: "Segmenter") -> None:
        """Log the segmenter as a pyfunc model that brings the code to load it."""
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        settings = segmenter.settings
        image = TensorSpec(np.dtype(settings.dtype), (-1, -1, -1, settings.channels))
        mask = TensorSpec(np.dtype(np.uint8), (-1, -1, -1))
        edge = settings.geometry.fit(2 * settings.geometry.shrink + 1)
        self._mlflow.pyfunc.log_model(
            name="segmenter",
            loader_module="unetflow.unet.mlflow_model",
            data_path=str(path),
            code_paths=[str(Path(__file__).parent)],
            signature=ModelSignature(Schema([image]), Schema([mask])),
            input_example=np.zeros((1, edge, edge, settings.channels), settings.dtype),
            pip_requirements=list(_installed(_MODEL_REQUIREMENTS)),
        )

    def describe_ui(self) -> str:
        """Return the command that shows the runs, as it works in the folder where one stands."""
        if self._tracking_uri.startswith("http"):
            return self._tracking_uri
        uri = self._tracking_uri
        if not uri.startswith("sqlite:"):
            uri = "$MLFLOW_TRACKING_URI"  # it may hold a password
        elif Path.cwd() != self._project:
            uri = _absolute_sqlite(uri, self._project)
        installed = Path(sys.executable).with_name("mlflow")
        command = "mlflow" if shutil.which("mlflow") else os.path.relpath(installed)
        return f"{command} ui --backend-store-uri {uri if uri[0] == '$' else shlex.quote(uri)}"

    def end(self, error: Exception | None = None) -> None:
        """End the run, as failed when there was an error."""
        if error is not None:
            self.set_tags({"error": f"{type(error).__name__}: {error}"[:5000]})
        self._mlflow.end_run("FAILED" if error else "FINISHED")
        # MLflow keeps the address in the environment, where the process's next run would find it.
        self._mlflow.set_tracking_uri(self._uri_before)


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested parameters with their path, as in `training.epochs`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def git_tags(folder: Path) -> dict[str, str]:
    """Return the commit that the code is at, and whether files differ from it."""
    try:
        import git  # comes with MLflow; its import already fails where git is not installed

        repository = git.Repo(folder, search_parent_directories=True)
        return {
            "mlflow.source.git.commit": repository.head.commit.hexsha,
            "git_dirty": str(repository.is_dirty()).lower(),
        }
    except (ImportError, ValueError):  # no git, or no commit yet
        return {}
    except git.GitError:  # no repository
        return {}


def _absolute_sqlite(uri: str, project: Path) -> str:
    """Make a relative SQLite file lie in the project's folder, wherever the run is started."""
    prefix, scheme, path = uri.partition("sqlite:///")
    if prefix or not scheme or Path(path).is_absolute():
        return uri
    return f"sqlite:///{(project / path).as_posix()}"


def _installed(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        try:
            yield f"{name}=={metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
