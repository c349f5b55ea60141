"""The stage `planning`."""

from unetflow.pipelines.planning.pipeline import create_pipeline as create_pipeline
