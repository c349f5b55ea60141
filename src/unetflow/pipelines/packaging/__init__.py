"""A chosen model as a package for bioimage.io."""

from unetflow.pipelines.packaging.pipeline import create_pipeline

__all__ = ["create_pipeline"]
