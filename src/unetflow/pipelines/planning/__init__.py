"""The stage `planning`."""

from unetflow.pipelines.planning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
