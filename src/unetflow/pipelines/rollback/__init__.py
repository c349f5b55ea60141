"""The pipeline `rollback`."""

from unetflow.pipelines.rollback.pipeline import create_pipeline

__all__ = ["create_pipeline"]
