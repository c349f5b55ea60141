"""Parameters, fingerprint and budget -> settled parameters, with the reason for each choice."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.planning import nodes
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage(
        "planning",
        [
            Node(
                nodes.plan_run,
                inputs=["fingerprint", "params:budget", "params:model", "params:training"],
                outputs="plan",
                name="plan_run",
            )
        ],
    )
