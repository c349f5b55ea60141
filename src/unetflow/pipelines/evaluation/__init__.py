"""The stage `evaluation`."""

from unetflow.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
