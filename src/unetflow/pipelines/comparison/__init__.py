"""The pipeline `comparison`."""

from unetflow.pipelines.comparison.pipeline import create_pipeline

__all__ = ["create_pipeline"]
