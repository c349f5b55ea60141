"""Samples in folds -> a segmenter for each fold, out-of-fold scores and one ensemble."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.cross_validation import nodes
from unetflow.pipelines.evaluation.nodes import score_test_images, summarise
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage(
        "cross_validation",
        [
            Node(
                nodes.compute_fold_weight_maps,
                inputs=[
                    "samples",
                    "manifest",
                    "fingerprint",
                    "params:classes",
                    "plan",
                    "fold_weight_maps_before",
                ],
                outputs="fold_weight_maps",
                name="compute_fold_weight_maps",
            ),
            Node(
                nodes.train_folds,
                inputs=[
                    "samples",
                    "manifest",
                    "params:classes",
                    "augmentation_policy",
                    "fold_weight_maps",
                    "plan",
                    "params:evaluation",
                    "params:seed",
                    "fold_log",
                    "fold_checkpoints",
                ],
                outputs=["fold_segmenters", "fold_scores"],
                name="train_folds",
            ),
            Node(
                nodes.gather_scores,
                inputs=["fold_scores", "manifest", "params:classes"],
                outputs=["cross_validation_scores", "cross_validation_metrics"],
                name="gather_fold_scores",
            ),
            Node(
                nodes.average_folds,
                inputs=["fold_segmenters", "manifest"],
                outputs="ensemble",
                name="average_folds",
            ),
            Node(
                score_test_images,
                inputs=["ensemble", "samples", "manifest", "params:evaluation"],
                outputs=["ensemble_scores", "ensemble_pooled_scores"],
                name="score_ensemble",
            ),
            Node(
                summarise,
                inputs=[
                    "ensemble_scores",
                    "ensemble_pooled_scores",
                    "ensemble",
                    "manifest",
                    "params:evaluation",
                    "params:seed",
                ],
                outputs="ensemble_metrics",
                name="summarise_ensemble",
            ),
        ],
        "training",
    )
