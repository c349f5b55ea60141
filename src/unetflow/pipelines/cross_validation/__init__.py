"""The stage `cross_validation`."""

from unetflow.pipelines.cross_validation.pipeline import create_pipeline as create_pipeline
