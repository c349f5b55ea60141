"""The pipeline `inference`: masks of any images by a model that lies anywhere."""

from kedro.pipeline import Pipeline

from unetflow.pipelines import mask_export


def create_pipeline() -> Pipeline:
    """Wire the stage `mask_export` with another model than the one that was trained last."""
    return Pipeline(
        mask_export.create_pipeline(), inputs={"segmenter": "chosen_segmenter"}, tags="inference"
    )
