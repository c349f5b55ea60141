"""Validation of parameters and folders before a run."""

import logging
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from unetflow.config.base import read_parameters
from unetflow.config.parameters import Parameters
from unetflow.core.errors import InputError
from unetflow.data.manifest import require_folds
from unetflow.hooks.catalog_entries import CatalogHooks
from unetflow.pipelines.planning import check_plan

_log = logging.getLogger(__name__)

_RESULTS = ("masks", "labels", "probabilities", "overlays", "instances", "polygons", "rois")


class ValidationHooks(CatalogHooks):
    """Checks parameters and folders before anything runs."""

    def __init__(self) -> None:
        super().__init__()
        self._parameters: Parameters
        self._chosen_preset = ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Stop with a clear error when a parameter is wrong, before Kedro makes models of them."""
        self._parameters = read_parameters(Parameters, context.config_loader["parameters"])
        self._chosen_preset = getattr(context.config_loader, "chosen_preset", "")

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Stop with one clear error where the plan, the start model or a folder is wrong."""
        parameters = self._parameters
        tags = {tag for node in pipeline.nodes for tag in node.tags}
        if "planning" in tags and self._chosen_preset:
            _log.info("%s", self._chosen_preset)
        if "plan" in pipeline.inputs() and catalog.exists("plan"):
            names = None if "training" in tags else {"training.tile"}
            check_plan(catalog.load("plan"), parameters, names)
        if "cross_validation" in tags:
            _check_cross_validation(parameters, deals_folds="ingestion" in tags)
        begins_with = parameters.start_from
        if begins_with is not None and begins_with != self._entries["start_model"].get("source"):
            raise InputError(
                "start_from",
                "it is set in a parameter file, which the catalog does not read",
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
                "the folder or archive of the images to segment does not exist",
                "Correct `images_to_segment` in the catalog, or give --params images=...",
            )
        below = [value for value in self._entries["raw_pairs"].values() if isinstance(value, str)]
        sources = [raw / name for name in ("images", "masks", *below)]
        theirs = {path.resolve() for path in (images, *sources)}
        for entry in _RESULTS:
            ours = Path(self._entries[entry]["path"]).resolve()
            if ours in theirs:
                raise InputError(
                    ours,
                    f"`{entry}` would overwrite your images or masks",
                    "Choose another folder, for example with --params output=...",
                )


def _check_cross_validation(parameters: Parameters, *, deals_folds: bool) -> None:
    if deals_folds:  # else the manifest has the folds
        require_folds(parameters.ingestion.split.folds)
    if parameters.start_from is not None:
        raise InputError(
            "start_from",
            "that model may have seen the images that a fold holds out",
            "Leave it out in a cross-validation",
        )
