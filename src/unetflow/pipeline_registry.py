"""The pipelines that `kedro run --pipeline NAME` can run."""

from kedro.pipeline import Pipeline

from unetflow.pipelines import (
    augmentation,
    comparison,
    construction,
    cross_validation,
    evaluation,
    inference,
    ingestion,
    mask_export,
    optimisation,
    packaging,
    planning,
    rollback,
    training,
)
from unetflow.pipelines.retraining import pipeline as retraining


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines by name.

    Returns:
        Each stage under its own name; `augmentation` and `construction` with `planning` before
        them, so that they obey the parameters; `training`, which is the chain from ingestion to
        evaluation, so that it works by itself; `cross_validation`, likewise from ingestion on;
        `__default__`, which also exports masks; `inference`, which exports them with a model from
        anywhere; `optimisation`, which exports such a model for faster runtimes; `packaging`, which
        writes it for bioimage.io; `comparison`, which shows trainings side by side that are done;
        `retraining`, which trains if there is reason to and decides who is the champion; and
        `rollback`, which takes that back.
    """
    planned = planning.create_pipeline()
    augmented = planned + augmentation.create_pipeline()
    constructed = planned + construction.create_pipeline()
    before = ingestion.create_pipeline() + augmented
    chain = before + constructed + training.create_pipeline() + evaluation.create_pipeline()
    return {
        "__default__": chain + mask_export.create_pipeline(),
        "ingestion": ingestion.create_pipeline(),
        "planning": planned,
        "augmentation": augmented,
        "construction": constructed,
        "training": chain,
        "cross_validation": before + cross_validation.create_pipeline(),
        "evaluation": evaluation.create_pipeline(),
        "mask_export": mask_export.create_pipeline(),
        "inference": inference.create_pipeline(),
        "optimisation": optimisation.create_pipeline(),
        "packaging": packaging.create_pipeline(),
        "comparison": comparison.create_pipeline(),
        "retraining": retraining.create_pipeline(),
        "rollback": rollback.create_pipeline(),
    }
