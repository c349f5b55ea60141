"""Tracking of a run in MLflow, which is imported when a run starts, since that costs seconds."""

from unetflow.tracking.tags import flatten, git_tags
from unetflow.tracking.tracker import Tracker

__all__ = ["Tracker", "flatten", "git_tags"]
