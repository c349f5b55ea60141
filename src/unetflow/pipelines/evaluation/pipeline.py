"""Trained U-Net and held-out samples -> segmenter, scores and figures."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.evaluation import nodes


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return Pipeline(
        [
            Node(
                nodes.finish_segmenter,
                inputs=[
                    "unet",
                    "samples",
                    "manifest",
                    "fingerprint",
                    "params:classes",
                    "params:evaluation",
                    "plan",
                    "params:seed",
                ],
                outputs=["segmenter", "threshold_curve", "calibration"],
                name="finish_segmenter",
            ),
            Node(
                nodes.score_test_images,
                inputs=["segmenter", "samples", "manifest", "params:evaluation"],
                outputs=["image_scores", "pooled_scores"],
                name="score_test_images",
            ),
            Node(
                nodes.summarise,
                inputs=["image_scores", "pooled_scores", "segmenter", "params:evaluation"],
                outputs="metrics",
                name="summarise",
            ),
            Node(
                nodes.show_gallery,
                inputs=["segmenter", "samples", "image_scores", "params:evaluation"],
                outputs="gallery",
                name="show_gallery",
            ),
        ],
        tags="evaluation",
    )
