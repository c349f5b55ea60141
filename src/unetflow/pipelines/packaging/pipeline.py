"""Chosen model and any images -> a package for bioimage.io and the programs that read it."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.packaging import nodes
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the pipeline."""
    return stage(
        "packaging",
        [
            Node(
                nodes.package_model,
                inputs=[
                    "chosen_segmenter",
                    "images_to_segment",
                    "known_model_card",
                    "params:packaging",
                ],
                outputs="bioimageio_package",
                name="package_model",
            )
        ],
    )
