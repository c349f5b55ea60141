"""Runs of MLflow, which is imported when they are loaded: facts of this one, and trainings."""

import json
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import unetflow
from unetflow.core.errors import InputError
from unetflow.datasets.file_datasets import load_segmenter
from unetflow.datasets.read_only import ReadOnlyDataset
from unetflow.datasets.registered_models import download_model
from unetflow.reporting.run_comparison import Segment, TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "albumentations", "mlflow", "kedro")


class RunFactsDataset(ReadOnlyDataset[dict[str, Any]]):
    """Everything that is needed to repeat a run.

    Command and git commit are those of the active MLflow run's tags; without one they are unknown.
    """

    def load(self) -> dict[str, Any]:
        """Return plain values; see `reporting.model_card.describe_model`."""
        import mlflow

        from unetflow.models.device import describe_device

        active = mlflow.active_run()
        run = active.info.run_id if active else None
        tags = mlflow.MlflowClient().get_run(run).data.tags if run else {}
        changed = tags.get("git_dirty")
        installed = {name: list(distributions(name=name)) for name in _PACKAGES}
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
                **{name: found[0].version for name, found in installed.items() if found},
            },
        }


_SCORES, _METRICS, _HISTORY = "image_scores.csv", "metrics.json", "history.csv"
_FIX = (
    "Give ids of evaluated trainings, as `mlflow ui` shows them, in --params runs=ID+ID; "
    "the first characters are enough"
)


class TrackedRunsDataset(ReadOnlyDataset[list[TrackedRun]]):
    """Evaluated trainings of the experiment that the process tracks its own runs in, oldest first.

    Args:
        runs: Their ids or the beginnings of them, joined by "+" or as a list; None: the latest.
        latest: Number of runs that are taken then.
    """

    def __init__(
        self,
        *,
        runs: str | list[str] | None = None,
        latest: int = 2,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._wanted = runs if runs is None or isinstance(runs, list) else str(runs).split("+")
        super().__init__(metadata=metadata, runs=self._wanted, latest=latest)
        self._latest = latest

    def load(self) -> list[TrackedRun]:
        """Read parameters, scores and history of the runs; their models are loaded on request.

        Raises:
            InputError: There is no such run, several begin so, or it was not evaluated.
        """
        import mlflow

        client, active = mlflow.MlflowClient(), mlflow.active_run()
        experiment = active.info.experiment_id if active else "0"
        found = client.search_runs([experiment], order_by=["attributes.start_time DESC"])
        if self._wanted is None:
            evaluated = (run for run in found if _is_evaluated(client, run))
            chosen = list(islice(evaluated, self._latest))
        else:
            chosen = [_find(found, wanted.strip()) for wanted in self._wanted]
            for run in chosen:
                if not _is_evaluated(client, run):
                    problem = f"run {run.info.run_id} ({run.info.run_name}) has no scores"
                    raise InputError("runs", problem, _FIX)
        chosen.sort(key=lambda run: run.info.start_time)
        return [_read(client, run) for run in chosen]


def _find(found: Sequence["Run"], wanted: str) -> "Run":
    matching = [run for run in found if wanted and run.info.run_id.startswith(wanted)]
    if len(matching) != 1:
        how_many = "no run" if not matching else f"{len(matching)} runs"
        raise InputError("runs", f"{how_many} in the experiment begins with '{wanted}'", _FIX)
    return matching[0]


def _list_files(client: "MlflowClient", run: "Run") -> set[str]:
    return {artifact.path for artifact in client.list_artifacts(run.info.run_id)}


def _is_evaluated(client: "MlflowClient", run: "Run") -> bool:
    return _list_files(client, run) >= {_SCORES, _METRICS}


def _read(client: "MlflowClient", run: "Run") -> TrackedRun:
    run_id = run.info.run_id

    def fetch(name: str) -> Path:
        return Path(client.download_artifacts(run_id, name))

    has_history = _HISTORY in _list_files(client, run)
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    return TrackedRun(
        id=run_id,
        name=run.info.run_name,
        started=started.isoformat(timespec="seconds"),
        parameters=dict(run.data.params),
        tags=dict(run.data.tags),
        history=pd.read_csv(fetch(_HISTORY)) if has_history else pd.DataFrame(),
        image_scores=pd.read_csv(fetch(_SCORES), dtype={"id": str}),
        metrics=json.loads(fetch(_METRICS).read_text(encoding="utf-8")),
        load_segment=_find_segmenter(client, run),
    )


def _find_segmenter(client: "MlflowClient", run: "Run") -> Callable[[], Segment] | None:
    models = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
    )
    if not models:
        return None
    address = f"models:/{models[0].model_id}"

    def load() -> Segment:
        return load_segmenter(download_model(address, "runs")).predict

    return load
