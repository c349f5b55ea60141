"""Removal of training checkpoints after a finished run."""

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from unetflow.datasets.folder_datasets import CheckpointDataset


class CheckpointHooks:
    """Keeps checkpoints until the whole run is done.

    A run that fails after its training does not train again: it resumes from the last checkpoint.
    """

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Remove the run's checkpoints."""
        for name in pipeline.inputs():
            entry = catalog.get(name)
            if isinstance(entry, CheckpointDataset):
                entry.load().remove_used()
