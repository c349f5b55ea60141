"""Parameters -> augmentation policy and its preview."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.augmentation import nodes
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage(
        "augmentation",
        [
            Node(
                nodes.write_policy,
                inputs="params:augmentation",
                outputs="augmentation_policy",
                name="write_policy",
            ),
            Node(
                nodes.preview_policy,
                inputs=[
                    "augmentation_policy",
                    "samples",
                    "manifest",
                    "fingerprint",
                    "plan",
                    "params:seed",
                ],
                outputs="augmentation_preview",
                name="preview_policy",
            ),
        ],
    )
