"""The pipelines that `kedro run --pipeline NAME` can run."""

from kedro.pipeline import Pipeline

from unetflow.pipelines import (
    augmentation,
    construction,
    evaluation,
    ingestion,
    mask_export,
    training,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines by name.

    Returns:
        Each stage under its own name, but `training`, which is the chain from ingestion to
        evaluation, so that it works by itself; and `__default__`, which also exports masks.
    """
    chain = (
        ingestion.create_pipeline()
        + augmentation.create_pipeline()
        + construction.create_pipeline()
        + training.create_pipeline()
        + evaluation.create_pipeline()
    )
    return {
        "__default__": chain + mask_export.create_pipeline(),
        "ingestion": ingestion.create_pipeline(),
        "augmentation": augmentation.create_pipeline(),
        "construction": construction.create_pipeline(),
        "training": chain,
        "evaluation": evaluation.create_pipeline(),
        "mask_export": mask_export.create_pipeline(),
    }
