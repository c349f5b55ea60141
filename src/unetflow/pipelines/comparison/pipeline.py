"""Two or more tracked trainings -> one page that shows them side by side."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.comparison import nodes


def create_pipeline() -> Pipeline:
    """Wire the pipeline."""
    return Pipeline(
        [
            Node(
                nodes.compare_runs,
                inputs=["tracked_runs", "samples", "params:classes"],
                outputs="comparison_report",
                name="compare_runs",
            )
        ],
        tags="comparison",
    )
