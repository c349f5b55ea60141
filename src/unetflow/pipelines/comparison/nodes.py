"""Tracked trainings to a page that shows them side by side."""

from unetflow.config.classes import Classes
from unetflow.data.samples import SampleFolder
from unetflow.reporting.run_comparison.comparison_page import write_comparison
from unetflow.reporting.run_comparison.runs import TrackedRun


def compare_runs(tracked_runs: list[TrackedRun], samples: SampleFolder, classes: Classes) -> str:
    """Write the page; see `reporting.run_comparison`."""
    return write_comparison(tracked_runs, samples, classes.names)
