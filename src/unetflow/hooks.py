"""What happens around every run: the check of the parameters, and tracking in MLflow."""

import os
from pathlib import Path
from typing import Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog

from unetflow.pipelines.parameters import Parameters, read_parameters
from unetflow.tracking import Tracker


class ParameterHooks:
    """Checks all parameters before anything runs."""

    @hook_impl
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        """Stop with a clear error when a parameter is misspelt or out of range."""
        read_parameters(Parameters, catalog.load("parameters"))


class TrackingHooks:
    """Makes every run of Kedro one run of MLflow.

    The catalog says what is logged, in the metadata of an entry:

    - `mlflow: {log: artifact}`, `metrics` or `model` logs it when it has been saved;
    - `mlflow: {tags: {tag: key}}` makes tags of the entry's values, saved or loaded.
    """

    def __init__(self) -> None:
        self._project = Path()
        self._config: dict[str, Any] = {}
        self._tracker: Tracker | None = None
        self._entries: dict[str, dict[str, Any]] = {}
        self._facts: dict[str, str] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the configuration."""
        self._project = Path(context.project_path)
        self._config = context.config_loader["mlflow"]

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any]) -> None:
        """Remember what the catalog says of each entry."""
        self._entries = conf_catalog

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: DataCatalog) -> None:
        """Start the MLflow run and log all parameters."""
        self._facts = {}
        self._tracker = Tracker(self._project, **self._config)
        self._tracker.start(
            name="+".join(run_params["pipeline_names"] or ["__default__"]),
            parameters=catalog.load("parameters"),
            tags={"env": run_params["env"] or "local"},
        )

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Make tags of what has been loaded."""
        self._set_tags(self._wishes(dataset_name), data)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log what has been saved."""
        wishes = self._wishes(dataset_name)
        self._set_tags(wishes, data)
        kind = wishes.get("log")
        if dataset_name == "masks":
            self._facts["Masks"] = os.path.relpath(self._entries["masks"]["path"])
        if kind is None or self._tracker is None:
            return
        path = Path(self._entries[dataset_name]["filepath"])
        if kind == "model":
            self._tracker.log_model(path, data)
        else:
            self._tracker.log_artifact(path)
        if kind == "metrics":
            self._tracker.log_metrics(data)
            self._facts["Scores"] = _describe_scores(data)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End the run and tell what a person wants to know."""
        if self._tracker is None:
            return
        self._tracker.end()
        uri = self._tracker.tracking_uri
        self._facts["Compare runs"] = f"mlflow ui --backend-store-uri {uri}"
        click.echo("")
        for name in ("Scores", "Masks", "Compare runs"):
            if name in self._facts:
                click.echo(f"{name}: {self._facts[name]}")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """End the run as failed."""
        if self._tracker is not None:
            self._tracker.end(error)

    def _wishes(self, dataset_name: str) -> dict[str, Any]:
        metadata = self._entries.get(dataset_name, {}).get("metadata", {})
        wishes: dict[str, Any] = metadata.get("mlflow", {})
        return wishes

    def _set_tags(self, wishes: dict[str, Any], data: Any) -> None:
        if self._tracker is not None and "tags" in wishes:
            self._tracker.set_tags({tag: str(data[key]) for tag, key in wishes["tags"].items()})


def _describe_scores(metrics: dict[str, Any]) -> str:
    means = {name: score["mean"] for name, score in metrics["scores"].items()}
    return (
        f"Dice {means['dice']:.3f}, IoU {means['iou']:.3f}, precision {means['precision']:.3f}, "
        f"recall {means['recall']:.3f} of class '{metrics['class']}', mean over "
        f"{metrics['test_images']} test images (Otsu's threshold: Dice {means['otsu_dice']:.3f})"
    )
