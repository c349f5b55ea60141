"""The stage `ingestion`."""

from unetflow.pipelines.ingestion.pipeline import create_pipeline as create_pipeline
