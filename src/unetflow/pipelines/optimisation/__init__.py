"""Which runtimes a finished model is worth exporting for."""

from unetflow.pipelines.optimisation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
