"""Raw files -> samples, manifest, quarantine and fingerprint."""

from kedro.pipeline import Node, Pipeline

from unetflow.pipelines.ingestion import nodes


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return Pipeline(
        [
            Node(
                nodes.canonicalise,
                inputs=["raw_pairs", "params:classes", "params:ingestion"],
                outputs="samples",
                name="canonicalise",
            ),
            Node(
                nodes.describe_samples,
                inputs=["raw_pairs", "samples", "params:classes"],
                outputs=["described_samples", "quarantine"],
                name="describe_samples",
            ),
            Node(
                nodes.split_manifest,
                inputs=[
                    "described_samples",
                    "quarantine",
                    "params:classes",
                    "params:ingestion",
                    "params:seed",
                ],
                outputs="manifest",
                name="split_manifest",
            ),
            Node(
                nodes.measure_fingerprint,
                inputs=["manifest", "samples", "params:classes"],
                outputs="fingerprint",
                name="measure_fingerprint",
            ),
        ],
        tags="ingestion",
    )
