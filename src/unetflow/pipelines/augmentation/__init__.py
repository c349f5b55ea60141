"""The stage `augmentation`."""

from unetflow.pipelines.augmentation.pipeline import create_pipeline as create_pipeline
