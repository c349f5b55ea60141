"""Takes away the states of trainings when the run that they belong to is done."""

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from unetflow.datasets.checkpoints import CheckpointDataset


class CheckpointHooks:
    """A run that is cut off after its training goes on with what follows the training."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Remove the states."""
        for name in pipeline.inputs():
            entry = catalog.get(name)
            if isinstance(entry, CheckpointDataset):
                entry.finish()
