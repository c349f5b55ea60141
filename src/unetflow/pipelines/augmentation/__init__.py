"""The stage `augmentation`."""

from unetflow.pipelines.augmentation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
