"""Chosen model and any images -> what the stage `mask_export` makes of them."""

from kedro.pipeline import Pipeline

from unetflow.pipelines import mask_export


def create_pipeline() -> Pipeline:
    """Wire the stage with another model than the one that was trained last."""
    return Pipeline(
        mask_export.create_pipeline(), inputs={"segmenter": "chosen_segmenter"}, tags="inference"
    )
