"""Trainings side by side: in which parameters, scores and images they differ."""

from unetflow.imaging.comparison.page import write_comparison
from unetflow.imaging.comparison.runs import Segment, TrackedRun

__all__ = ["Segment", "TrackedRun", "write_comparison"]
