"""Tracking of a run in MLflow."""

from pathlib import Path
from typing import Any

import click
from kedro.config import AbstractConfigLoader, MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from pydantic import BaseModel

from unetflow.config.base import dump_parameters
from unetflow.datasets.training_log import TrainingLogDataset
from unetflow.evaluation.headline import describe_scores
from unetflow.hooks.catalog_entries import CatalogHooks
from unetflow.pipelines.retraining.runner import SKIPPED
from unetflow.tracking.mlflow_runs import read_run_key
from unetflow.tracking.redaction import find_secrets
from unetflow.tracking.tracker import Tracker


class TrackingHooks(CatalogHooks):
    """Makes every Kedro run one MLflow run.

    The metadata of a catalog entry say what is logged:

    - `mlflow: {log: artifact}`, `metrics` or `model` logs the entry when it has been saved;
      `prefix` precedes the names of its metrics (default: `test`);
    - `mlflow: {log: epochs}` logs each epoch during the training, and the device;
    - `mlflow: {tags: {tag: key}}` makes tags of the entry's values, saved or loaded;
    - `mlflow: {input: entry}` logs the path of that entry as the run's data set, with the digest
      of this one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._project = Path()
        self._config: dict[str, Any] = {}
        self._secrets: set[str] = set()
        self._tracker: Tracker | None = None
        self._context = ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read MLflow's configuration and the credentials, which must not be logged."""
        self._project = Path(context.project_path)
        self._config = context.config_loader["mlflow"]
        self._secrets = find_secrets(_read_credentials(context.config_loader))

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Start the MLflow run, log all parameters, and connect the training log."""
        self._tracker = Tracker(self._project, **self._config, secrets=self._secrets)
        name = "+".join(run_params["pipeline_names"] or ["__default__"])
        trains = any("training" in node.tags for node in pipeline.nodes)
        self._context = "training" if trains else name
        parameters = dump_parameters(catalog.load("parameters"))
        self._tracker.start(
            name,
            parameters,
            tags={"env": run_params["env"] or "local", "preset": parameters["preset"]},
            key=read_run_key(),
        )
        for entry in pipeline.inputs():
            if self._metadata_of(entry, "mlflow").get("log") == "epochs":
                log = catalog.get(entry)
                if isinstance(log, TrainingLogDataset):
                    log.connect(self._tracker)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Log tags, the data set and the device."""
        tracking = self._metadata_of(dataset_name, "mlflow")
        self._identify(tracking, data)
        if tracking.get("log") == "epochs" and self._tracker is not None:
            from unetflow.models.device import describe_device

            self._tracker.set_tags({"device": describe_device()})

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log what has been saved."""
        tracking = self._metadata_of(dataset_name, "mlflow")
        self._identify(tracking, data)
        kind = tracking.get("log")
        if kind is None or self._tracker is None:
            return
        path = Path(self._entries[dataset_name]["filepath"])
        if kind == "model":
            self._tracker.log_model(path, data)
        else:
            self._tracker.log_artifact(path)
        if kind == "metrics":
            prefix = tracking.get("prefix", "test")
            self._tracker.log_metrics(data, prefix)
            if prefix == "test":
                self._tracker.register_model(describe_scores(data))

    @hook_impl
    def after_pipeline_run(self, run_result: dict[str, Any]) -> None:
        """End the MLflow run, and print how to look at it."""
        if self._tracker is None:
            return
        if SKIPPED in run_result:
            self._tracker.set_tags({"decision": "skipped", "reason": run_result[SKIPPED]})
        self._end(self._tracker)
        click.echo(f"Compare runs: {self._tracker.describe_ui()}")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """End the MLflow run as failed."""
        if self._tracker is not None:
            self._end(self._tracker, error)

    @staticmethod
    def _end(tracker: Tracker, error: Exception | None = None) -> None:
        lost = tracker.end(error)
        if lost:
            click.echo(f"Not in MLflow: {', '.join(lost)} (the files in data/ are complete)")

    def _identify(self, tracking: dict[str, Any], data: Any) -> None:
        """Log tags from an entry's values, and the data set that the entry describes."""
        if self._tracker is None:
            return
        if isinstance(data, BaseModel):
            data = data.model_dump()
        if "tags" in tracking:
            tags = tracking["tags"].items()  # files of earlier versions may lack one
            self._tracker.set_tags({tag: str(data[key]) for tag, key in tags if key in data})
        if "input" in tracking:
            source = self._entries[tracking["input"]]["path"]
            self._tracker.log_input(str(source), data["digest"], self._context)


def _read_credentials(configuration: AbstractConfigLoader) -> dict[str, Any]:
    try:
        credentials: dict[str, Any] = configuration["credentials"]
    except MissingConfigException:  # as in most projects
        return {}
    return credentials
