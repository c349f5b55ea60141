"""Command, commit, device and versions of the run itself."""

import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import unetflow
from unetflow.datasets.read_only import ReadOnlyDataset

_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "albumentations", "mlflow", "kedro")


class RunFactsDataset(ReadOnlyDataset[dict[str, Any]]):
    """Everything that is needed to repeat a run.

    Command and git commit are those of the active MLflow run's tags; without one they are unknown.
    """

    def load(self) -> dict[str, Any]:
        """Return plain values; see `reporting.evaluation_report.describe_model`."""
        from unetflow.models.device import describe_device

        run, tags = _read_tags()
        changed = tags.get("git_dirty")
        return {
            "command": tags.get("command"),
            "commit": tags.get("mlflow.source.git.commit"),
            "changed": None if changed is None else changed == "true",
            "mlflow_run": run,
            "time": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "device": describe_device(),
            "versions": {
                "unetflow": unetflow.__version__,
                "Python": platform.python_version(),
                **_versions(),
            },
        }


def _read_tags() -> tuple[str | None, dict[str, str]]:
    import mlflow

    active = mlflow.active_run()
    if active is None:
        return None, {}
    run_id: str = active.info.run_id
    return run_id, dict(mlflow.MlflowClient().get_run(run_id).data.tags)


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
