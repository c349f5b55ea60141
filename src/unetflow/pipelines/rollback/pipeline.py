"""The registry's aliases -> the previous champion is the champion again."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.rollback import nodes
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the pipeline."""
    return stage(
        "rollback",
        [
            Node(
                nodes.roll_back,
                inputs="champion_aliases",
                outputs="champion_move",
                name="roll_back",
            )
        ],
        "promotes",
    )
