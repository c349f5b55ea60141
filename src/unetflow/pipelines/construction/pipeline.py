"""Plan and fingerprint -> untrained U-Net and its drawing."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.construction import nodes
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage(
        "construction",
        [
            Node(
                nodes.construct_unet,
                inputs=["fingerprint", "params:classes", "plan", "params:seed", "start_model"],
                outputs="unet_untrained",
                name="construct_unet",
            ),
            Node(
                nodes.draw_network,
                inputs=["unet_untrained", "plan"],
                outputs="unet_drawing",
                name="draw_network",
            ),
        ],
    )
