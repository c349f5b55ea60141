"""The stage `construction`."""

from unetflow.pipelines.construction.pipeline import create_pipeline as create_pipeline
