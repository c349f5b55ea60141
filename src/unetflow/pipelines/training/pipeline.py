"""Untrained U-Net and samples -> trained U-Net and history."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.stage import stage
from unetflow.pipelines.training import nodes


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage(
        "training",
        [
            Node(
                nodes.compute_weight_maps,
                inputs=[
                    "samples",
                    "manifest",
                    "fingerprint",
                    "params:classes",
                    "plan",
                    "weight_maps_before",
                ],
                outputs="weight_maps",
                name="compute_weight_maps",
            ),
            Node(
                nodes.train_unet,
                inputs=[
                    "unet_untrained",
                    "samples",
                    "manifest",
                    "fingerprint",
                    "augmentation_policy",
                    "weight_maps",
                    "plan",
                    "params:seed",
                    "training_log",
                    "checkpoints",
                ],
                outputs=["unet", "history"],
                name="train_unet",
            ),
            Node(
                nodes.plot_history, inputs="history", outputs="learning_curve", name="plot_history"
            ),
        ],
    )
