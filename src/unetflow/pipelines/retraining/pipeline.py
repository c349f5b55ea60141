"""Data and the champion -> a challenger, the decision between them, and the champion of now."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines import augmentation, construction, evaluation, ingestion, planning, training
from unetflow.pipelines.retraining import nodes
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the pipeline.

    `RetrainingRunner` runs the nodes up to `look_for_reason`, and the others if there is a reason.
    """
    challenger = (
        planning.create_pipeline()
        + augmentation.create_pipeline()
        + construction.create_pipeline().only_nodes("construction.draw_network")
        + training.create_pipeline()
        + evaluation.create_pipeline()
        + stage("construction", [_construct_challenger()])
    )
    return ingestion.create_pipeline() + _gate() + challenger + _decision()


def _gate() -> Pipeline:
    return stage(
        "gate",
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
            )
        ],
    )


def _construct_challenger() -> Node:
    return Node(
        nodes.construct_challenger,
        inputs=[
            "retraining_reason",
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
    return stage(
        "decision",
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
        "promotes",
    )
