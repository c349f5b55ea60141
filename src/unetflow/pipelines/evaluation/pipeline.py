"""Trained U-Net and held-out samples -> segmenter, scores, figures and a report."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.evaluation import baseline_nodes, nodes, report_nodes, review_nodes
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage("evaluation", [*_scoring(), *_review(), *_report()])


def _scoring() -> list[Node]:
    """Return the nodes that compute scores."""
    return [
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
            inputs=[
                "image_scores",
                "pooled_scores",
                "segmenter",
                "manifest",
                "params:evaluation",
                "params:seed",
            ],
            outputs="metrics",
            name="summarise",
        ),
        Node(
            nodes.show_gallery,
            inputs=["segmenter", "samples", "image_scores", "params:evaluation"],
            outputs="gallery",
            name="show_gallery",
        ),
        Node(
            baseline_nodes.score_champion,
            inputs=["champion", "segmenter", "samples", "manifest"],
            outputs="champion_scores",
            name="score_champion",
        ),
        Node(
            baseline_nodes.compare,
            inputs=["image_scores", "champion_scores", "manifest", "params:seed"],
            outputs="baseline_comparison",
            name="compare_with_baselines",
        ),
    ]


def _review() -> list[Node]:
    """Return the nodes that select images for review."""
    return [
        Node(
            review_nodes.map_uncertainty,
            inputs=["segmenter", "samples", "manifest", "params:evaluation"],
            outputs=["uncertainty_maps", "image_uncertainty"],
            name="map_uncertainty",
        ),
        Node(
            review_nodes.rank_for_review,
            inputs=["image_uncertainty", "image_scores", "params:evaluation"],
            outputs=["needs_review", "review_check"],
            name="rank_for_review",
        ),
        Node(
            review_nodes.look_for_suspicious_labels,
            inputs=["segmenter", "samples", "manifest", "params:evaluation"],
            outputs=["suspicious_labels", "suspicious_labels_gallery"],
            name="look_for_suspicious_labels",
        ),
    ]


def _report() -> list[Node]:
    """Return the nodes that draw and write reports."""
    return [
        Node(
            report_nodes.draw_threshold,
            inputs=["threshold_curve", "metrics"],
            outputs="threshold_drawing",
            name="draw_threshold",
        ),
        Node(
            report_nodes.draw_errors,
            inputs=["image_scores", "manifest"],
            outputs="errors_drawing",
            name="draw_errors",
        ),
        Node(
            report_nodes.describe_model,
            inputs=["segmenter", "plan", "fingerprint", "run_facts"],
            outputs="model_card",
            name="describe_model",
        ),
        Node(
            report_nodes.write_report,
            inputs={
                "segmenter": "segmenter",
                "samples": "samples",
                "model_card": "model_card",
                "parameters": "parameters",
                "manifest": "manifest",
                "fingerprint": "fingerprint",
                "image_scores": "image_scores",
                "metrics": "metrics",
                "threshold_curve": "threshold_curve",
                "history": "history",
                "calibration": "calibration",
                "baselines": "baseline_comparison",
                "needs_review": "needs_review",
                "review_check": "review_check",
                "suspicious_labels": "suspicious_labels",
            },
            outputs="report",
            name="write_report",
        ),
    ]
