"""Raw files -> samples, manifest, quarantine, report and fingerprint."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.ingestion import nodes
from unetflow.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage(
        "ingestion",
        [
            Node(
                nodes.build_samples,
                inputs=["raw_pairs", "samples_before", "params:classes", "params:ingestion"],
                outputs="samples",
                name="build_samples",
            ),
            Node(
                nodes.describe_samples,
                inputs=["samples", "params:classes"],
                outputs=["described_samples", "quarantine"],
                name="describe_samples",
            ),
            Node(
                nodes.look_for_duplicates,
                inputs=["described_samples", "samples", "params:ingestion"],
                outputs="duplicates",
                name="look_for_duplicates",
            ),
            Node(
                nodes.split,
                inputs=[
                    "described_samples",
                    "duplicates",
                    "manifest_before",
                    "params:ingestion",
                    "params:seed",
                ],
                outputs=["split_samples", "leaks"],
                name="split",
            ),
            Node(
                nodes.report_data,
                inputs=[
                    "split_samples",
                    "quarantine",
                    "duplicates",
                    "leaks",
                    "samples",
                    "params:classes",
                ],
                outputs="data_report",
                name="report_data",
            ),
            Node(
                nodes.accept_data,
                inputs=[
                    "split_samples",
                    "quarantine",
                    "leaks",
                    "data_report",
                    "params:classes",
                    "params:ingestion",
                ],
                outputs="manifest",
                name="accept_data",
            ),
            Node(
                nodes.measure_training_split,
                inputs=["manifest", "samples", "params:classes"],
                outputs="fingerprint",
                name="measure_fingerprint",
            ),
        ],
    )
