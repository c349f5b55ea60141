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

from unetflow.datasets import FoldLogDataset, TrainingLogDataset
from unetflow.imaging.cross_validation import require_folds
from unetflow.imaging.errors import InputError, NothingToDo
from unetflow.imaging.redaction import find_secrets
from unetflow.pipelines.checks import read_parameters
from unetflow.pipelines.parameters import Parameters, read_meaning
from unetflow.pipelines.planning.nodes import check_plan
from unetflow.tracking import Tracker
from unetflow.tracking.parts import read_run_key


class CheckHooks:
    """Checks parameters and folders before anything runs."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Any]] = {}

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any]) -> None:
        """Remember what the catalog says of each entry."""
        self._entries = conf_catalog

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Stop with a clear error when a parameter or a folder cannot be right."""
        parameters = catalog.load("parameters")
        read_parameters(Parameters, parameters)
        read_meaning(parameters["classes"], parameters["ingestion"])
        if "plan" in pipeline.inputs() and catalog.exists("plan"):
            trains = any("training" in node.tags for node in pipeline.nodes)
            check_plan(catalog.load("plan"), parameters, None if trains else {"training.tile"})
        tags = {tag for node in pipeline.nodes for tag in node.tags}
        if "cross_validation" in tags:
            _check_cross_validation(parameters, deals_folds="ingestion" in tags)
        begins_with = parameters.get("start_from")
        if begins_with is not None and begins_with != self._entries["start_model"].get("source"):
            raise InputError(
                "start_from",
                "it stands in a file of parameters, where the catalog does not see it",
                "Give it as in `--params start_from=...`, or as `source` of the catalog entry "
                "`start_model`",
            )
        raw = self._entries["raw_pairs"].get("path")
        if "images_to_segment" in pipeline.inputs() and isinstance(raw, str):
            self._check_images_to_segment(Path(raw))

    def _check_images_to_segment(self, raw: Path) -> None:
        entry_of_images = self._entries["images_to_segment"]
        images = Path(entry_of_images.get("instead") or entry_of_images["path"])
        if not images.exists() and not images.is_relative_to(raw):  # the demo is made by the run
            raise InputError(
                images,
                "there is no such folder or archive to export masks of",
                "Correct `images_to_segment` in the catalog, or give --params images=...",
            )
        below = [value for value in self._entries["raw_pairs"].values() if isinstance(value, str)]
        theirs = {
            images.resolve(),
            *((raw / name).resolve() for name in ("images", "masks", *below)),
        }
        for entry in (
            "masks",
            "labels",
            "probabilities",
            "overlays",
            "instances",
            "polygons",
            "rois",
        ):
            ours = Path(self._entries[entry]["path"]).resolve()
            if ours in theirs:
                raise InputError(
                    ours,
                    f"`{entry}` would be written over the images or masks that you have",
                    "Choose another folder, as in --params output=...",
                )


def _check_cross_validation(parameters: dict[str, Any], *, deals_folds: bool) -> None:
    if deals_folds:  # else those of the manifest count
        require_folds(parameters["ingestion"]["split"]["folds"])
    if parameters.get("start_from") is not None:
        raise InputError(
            "start_from",
            "a model to start from may have seen the images that a fold holds out",
            "Leave it out in a cross-validation",
        )


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
        parameters = catalog.load("parameters")
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
        """Make tags of what has been loaded, and keep what was recognised in the data."""
        if dataset_name == "raw_pairs" and data.recognised:
            self._closing_lines["Recognised"] = data.recognised
        tracking = self._tracking_of(dataset_name)
        self._identify(tracking, data)
        if tracking.get("log") == "epochs" and self._tracker is not None:
            from unetflow.unet.device import describe_device

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
            "Recognised",
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
        self._echo("Recognised", "Data report", "Not in MLflow")

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
