"""Tracked trainings to a page that shows them side by side."""

from typing import Any

from unetflow.imaging.comparison import TrackedRun, write_comparison
from unetflow.imaging.samples import SampleFolder
from unetflow.pipelines.classes import read_classes


def compare_runs(
    tracked_runs: list[TrackedRun], samples: SampleFolder, classes: list[dict[str, Any]]
) -> str:
    """Write the page; see `imaging.comparison`."""
    return write_comparison(tracked_runs, samples, [c.name for c in read_classes(classes)])
