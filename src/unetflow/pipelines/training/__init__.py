"""The stage `training`."""

from unetflow.pipelines.training.pipeline import create_pipeline as create_pipeline
