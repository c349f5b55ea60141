"""Chosen model and validation images -> exports for engines that keep its Dice, and a table."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.optimisation import nodes


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return Pipeline(
        [
            Node(
                nodes.try_all_engines,
                inputs=[
                    "chosen_segmenter",
                    "samples",
                    "manifest",
                    "params:optimisation",
                    "params:seed",
                ],
                outputs=["engine_trials", "exports"],
                name="try_all_engines",
            )
        ],
        tags="optimisation",
    )
