"""The pipeline `retraining`."""

from unetflow.pipelines.retraining.pipeline import create_pipeline

__all__ = ["create_pipeline"]
