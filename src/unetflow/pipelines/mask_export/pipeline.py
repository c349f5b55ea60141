"""Finished segmenter and any images -> masks, label masks and overlays."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.mask_export import nodes


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return Pipeline(
        [
            Node(
                nodes.export_masks,
                inputs=["segmenter", "images_to_segment", "params:mask_export"],
                outputs=["masks", "labels", "overlays"],
                name="export_masks",
            )
        ],
        tags="mask_export",
    )
