"""Finished segmenter and any images -> masks, their objects, and a list of failures."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.mask_export import nodes
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage(
        "mask_export",
        [
            Node(
                nodes.export_masks,
                inputs=["segmenter", "images_to_segment", "large_results", "params:mask_export"],
                outputs=[
                    "masks",
                    "labels",
                    "probabilities",
                    "overlays",
                    "instances",
                    "polygons",
                    "rois",
                    "object_tables",
                    "export_log",
                ],
                name="export_masks",
            ),
            Node(
                nodes.gather_objects,
                inputs=["instances", "object_tables", "export_log"],
                outputs=["objects", "objects_sheet", "coco"],
                name="gather_objects",
            ),
            Node(nodes.list_failures, inputs="export_log", outputs="failed", name="list_failures"),
            Node(
                nodes.require_all,
                inputs=["failed", "export_log", "objects"],
                outputs=None,
                name="require_all_masks",
            ),
        ],
    )
