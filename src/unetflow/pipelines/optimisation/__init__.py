"""The pipeline `optimisation`: exports of a finished model for other runtimes."""

from unetflow.pipelines.optimisation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
