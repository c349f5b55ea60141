"""The stage `mask_export`."""

from unetflow.pipelines.mask_export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
