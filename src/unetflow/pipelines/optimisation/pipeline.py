"""Chosen model and validation images -> exports for runtimes that keep its Dice, and a table."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.optimisation import nodes
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage(
        "optimisation",
        [
            Node(
                nodes.compare_runtimes,
                inputs=[
                    "chosen_segmenter",
                    "samples",
                    "manifest",
                    "params:optimisation",
                    "params:seed",
                ],
                outputs=["runtime_benchmark", "exports"],
                name="compare_runtimes",
            )
        ],
    )
