"""The pipeline `comparison`: tracked trainings -> one page that shows them side by side."""

from kedro.pipeline import Pipeline

from unetflow.config.classes import Classes
from unetflow.data.samples import SampleFolder
from unetflow.pipelines.stage import node, stage
from unetflow.reporting.run_comparison import TrackedRun, write_comparison


def create_pipeline() -> Pipeline:
    """Wire the pipeline."""
    inputs = ["tracked_runs", "samples", "params:classes"]
    return stage("comparison", node(compare_runs, inputs, "comparison_report"))


def compare_runs(tracked_runs: list[TrackedRun], samples: SampleFolder, classes: Classes) -> str:
    """Write the page; see `reporting.run_comparison`."""
    return write_comparison(tracked_runs, samples, classes.names)
