"""The stage `construction`."""

from unetflow.pipelines.construction.pipeline import create_pipeline

__all__ = ["create_pipeline"]
