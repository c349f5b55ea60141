"""Masks of any images by a model that lies anywhere."""

from unetflow.pipelines.inference.pipeline import create_pipeline

__all__ = ["create_pipeline"]
