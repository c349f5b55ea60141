"""Data and the champion -> a challenger, the decision between them, and the champion of now."""

from kedro.pipeline import Node, Pipeline, pipeline

from unetflow.pipelines import (
    augmentation,
    construction,
    evaluation,
    ingestion,
    planning,
    training,
)
from unetflow.pipelines.retraining import nodes


def create_pipeline() -> Pipeline:
    """Wire the pipeline.

    All stages after the ingestion take the fingerprint from `go_on_if_due`, which ends the run
    where there is no reason to train.
    """
    stages = (
        planning.create_pipeline()
        + augmentation.create_pipeline()
        + construction.create_pipeline().only_nodes("draw_network")
        + training.create_pipeline()
        + evaluation.create_pipeline()
        + Pipeline([_construct_challenger()], tags="construction")
    )
    challenger = pipeline(stages, inputs={"fingerprint": "due_fingerprint"})
    return ingestion.create_pipeline() + _gate() + challenger + _decision()


def _gate() -> Pipeline:
    return Pipeline(
        [
            Node(
                nodes.look_for_reason,
                inputs=[
                    "champion_record",
                    "samples",
                    "manifest",
                    "fingerprint",
                    "params:classes",
                    "params:retraining",
                ],
                outputs="retraining_reason",
                name="look_for_reason",
            ),
            Node(
                nodes.go_on_if_due,
                inputs=["retraining_reason", "fingerprint"],
                outputs="due_fingerprint",
                name="go_on_if_due",
            ),
        ],
        tags="gate",
    )


def _construct_challenger() -> Node:
    return Node(
        nodes.construct_challenger,
        inputs=[
            "fingerprint",
            "params:classes",
            "plan",
            "params:seed",
            "champion",
            "params:retraining",
        ],
        outputs="unet_untrained",
        name="construct_challenger",
    )


def _decision() -> Pipeline:
    return Pipeline(
        [
            Node(
                nodes.decide,
                inputs=[
                    "retraining_reason",
                    "image_scores",
                    "champion_scores",
                    "manifest",
                    "params:retraining",
                    "params:seed",
                ],
                outputs="retraining_decision",
                name="decide",
            ),
            Node(
                nodes.show_differences,
                inputs=["retraining_decision", "segmenter", "champion", "samples"],
                outputs=["differences", "differences_shown"],
                name="show_differences",
            ),
            Node(
                nodes.promote,
                inputs=["retraining_decision", "report", "differences_shown"],
                outputs="champion_move",
                name="promote",
            ),
        ],
        tags=["decision", "promotes"],
    )
