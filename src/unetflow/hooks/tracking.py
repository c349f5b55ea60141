"""What happens around every run: checks before it, and tracking in MLflow."""

import os
from pathlib import Path
from typing import Any

import click
from kedro.config import AbstractConfigLoader, MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from unetflow.config.validation import dump_parameters
from unetflow.core.errors import NothingToDo
from unetflow.datasets.training_log import FoldLogDataset, TrainingLogDataset
from unetflow.tracking.redaction import find_secrets
from unetflow.tracking.stage_runs import read_run_key
from unetflow.tracking.tracker import Tracker


class TrackingHooks:
    """Makes every run of Kedro one run of MLflow.

    The catalog says what is logged, in the metadata of an entry:

    - `mlflow: {log: artifact}`, `metrics` or `model` logs it when it has been saved;
    - `mlflow: {log: epochs}` logs each epoch of a training while it goes on, and its device;
    - `mlflow: {tags: {tag: key}}` makes tags of the entry's values, saved or loaded;
    - `mlflow: {input: entry}` logs where that entry lies as the run's data set, with this one's
      digest.
    """

    def __init__(self) -> None:
        self._project = Path()
        self._config: dict[str, Any] = {}
        self._secrets: set[str] = set()
        self._tracker: Tracker | None = None
        self._entries: dict[str, dict[str, Any]] = {}
        self._closing_lines: dict[str, str] = {}
        self._context = ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the configuration, and what of it must not be logged."""
        self._project = Path(context.project_path)
        self._config = context.config_loader["mlflow"]
        self._secrets = find_secrets(_read_credentials(context.config_loader))

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any]) -> None:
        """Remember what the catalog says of each entry."""
        self._entries = conf_catalog

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Start the MLflow run, log all parameters and listen to the training."""
        self._closing_lines = {}
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
            if self._tracking_of(entry).get("log") == "epochs":
                log = catalog.get(entry)
                if isinstance(log, TrainingLogDataset | FoldLogDataset):
                    log.connect(self._tracker)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Make tags of what has been loaded, and keep the detected layout."""
        if dataset_name == "raw_pairs" and data.detected_layout:
            self._closing_lines["Detected layout"] = data.detected_layout
        tracking = self._tracking_of(dataset_name)
        self._identify(tracking, data)
        if tracking.get("log") == "epochs" and self._tracker is not None:
            from unetflow.models.device import describe_device

            self._tracker.set_tags({"device": describe_device()})

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log what has been saved."""
        tracking = self._tracking_of(dataset_name)
        self._identify(tracking, data)
        kind = tracking.get("log")
        if dataset_name == "masks":
            self._closing_lines["Masks"] = os.path.relpath(self._entries["masks"]["path"])
        line = {
            "data_report": "Data report",
            "report": "Report",
            "comparison_report": "Comparison",
            "engine_trials": "Engines",
        }.get(dataset_name)
        where = self._entries.get(dataset_name, {}).get("filepath")  # none in memory
        if line is not None and where is not None:
            self._closing_lines[line] = os.path.relpath(where)
        if kind is None or self._tracker is None:
            return
        path = Path(self._entries[dataset_name]["filepath"])
        if kind == "model":
            self._tracker.log_model(path, data)
        else:
            self._tracker.log_artifact(path)
        if kind == "metrics":
            self._log_metrics(tracking, data)

    def _log_metrics(self, tracking: dict[str, Any], metrics: dict[str, Any]) -> None:
        if self._tracker is None:
            return
        prefix = tracking.get("prefix", "test")
        self._tracker.log_metrics(metrics, prefix)
        if prefix == "test":
            self._closing_lines["Scores"] = _describe_scores(metrics)
            self._tracker.register_model(self._closing_lines["Scores"])
        elif "folds" in metrics:
            self._closing_lines["Cross-validation"] = _describe_folds(metrics)
        else:
            self._closing_lines["Ensemble"] = _describe_scores(metrics)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End the run and tell what a person wants to know."""
        if self._tracker is None:
            return
        self._end_tracking(self._tracker)
        self._closing_lines["Compare runs"] = self._tracker.describe_ui()
        self._echo(
            "Detected layout",
            "Data report",
            "Cross-validation",
            "Ensemble",
            "Scores",
            "Report",
            "Comparison",
            "Engines",
            "Masks",
            "Not in MLflow",
            "Compare runs",
        )

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """End the run as failed, or as finished if there was nothing to do; tell where to look."""
        if self._tracker is not None and isinstance(error, NothingToDo):
            self._tracker.set_tags({"decision": "skipped", "reason": str(error)})
            self._end_tracking(self._tracker)
        elif self._tracker is not None:
            self._end_tracking(self._tracker, error)
        self._echo("Detected layout", "Data report", "Not in MLflow")

    def _end_tracking(self, tracker: Tracker, error: Exception | None = None) -> None:
        lost = tracker.end(error)
        if lost:
            self._closing_lines["Not in MLflow"] = f"{', '.join(lost)} (what is in data/ is whole)"

    def _echo(self, *names: str) -> None:
        """Tell a person what the log, which breaks long lines, is not made for."""
        click.echo("")
        for name in names:
            if name in self._closing_lines:
                click.echo(f"{name}: {self._closing_lines[name]}")

    def _tracking_of(self, dataset_name: str) -> dict[str, Any]:
        metadata = self._entries.get(dataset_name, {}).get("metadata", {})
        tracking: dict[str, Any] = metadata.get("mlflow", {})
        return tracking

    def _identify(self, tracking: dict[str, Any], data: Any) -> None:
        """Make tags of an entry's values, and log the data set that it describes."""
        if self._tracker is None:
            return
        if "tags" in tracking:
            self._tracker.set_tags({tag: str(data[key]) for tag, key in tracking["tags"].items()})
        if "input" in tracking:
            source = self._entries[tracking["input"]]["path"]
            self._tracker.log_input(str(source), data["digest"], self._context)


def _read_credentials(configuration: AbstractConfigLoader) -> dict[str, Any]:
    try:
        credentials: dict[str, Any] = configuration["credentials"]
    except MissingConfigException:  # as in most projects
        return {}
    return credentials


def _describe_scores(metrics: dict[str, Any]) -> str:
    means = {name: score["mean"] for name, score in metrics["scores"].items()}
    otsu = f" (Otsu's threshold: Dice {means['otsu_dice']:.3f})" if "otsu_dice" in means else ""
    which = metrics["class"] if metrics["threshold"] is None else f"class '{metrics['class']}'"
    return (
        f"Dice {means['dice']:.3f}, IoU {means['iou']:.3f}, precision {means['precision']:.3f}, "
        f"recall {means['recall']:.3f} of {which}, mean over {metrics['test_images']} test images"
        f"{otsu}"
    )


def _describe_folds(metrics: dict[str, Any]) -> str:
    dice = metrics["scores"]["dice"]
    return (
        f"Dice {dice['mean']:.3f} (its means over the folds deviate by {dice['spread']:.3f}) of "
        f"{metrics['images']} images, each by the network of {metrics['folds']} that has not "
        "seen it"
    )
