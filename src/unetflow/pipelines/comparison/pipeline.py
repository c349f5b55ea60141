"""Two or more tracked trainings -> one page that shows them side by side."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.comparison import nodes
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the pipeline."""
    return stage(
        "comparison",
        [
            Node(
                nodes.compare_runs,
                inputs=["tracked_runs", "samples", "params:classes"],
                outputs="comparison_report",
                name="compare_runs",
            )
        ],
    )
