"""The stage `ingestion`."""

from unetflow.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
