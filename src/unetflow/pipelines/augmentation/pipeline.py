"""Parameters -> augmentation policy and its preview."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.augmentation import nodes


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return Pipeline(
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
        tags="augmentation",
    )
