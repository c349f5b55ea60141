"""The pipeline `optimisation`: exports of a chosen model for runtimes that keep its Dice."""

import logging

import pandas as pd
from kedro.pipeline import Pipeline

from unetflow.config.optimisation import OptimisationParameters
from unetflow.data.manifest import samples_of_split
from unetflow.data.samples import SampleFolder
from unetflow.pipelines.stage import Exported, Segmenter, node, stage

_log = logging.getLogger(__name__)


def create_pipeline() -> Pipeline:
    """Wire the pipeline."""
    inputs = ["chosen_segmenter", "samples", "manifest", "params:optimisation", "params:seed"]
    return stage("optimisation", node(compare_runtimes, inputs, ["runtime_benchmark", "exports"]))


def compare_runtimes(
    segmenter: Segmenter,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    optimisation: OptimisationParameters,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Exported]]:
    """Convert a segmenter for each runtime whose masks of the validation images are as good.

    The same holds for its objects, where the images number theirs. The segmenter has a Keras model;
    the seed draws the crops that calibrate int8.

    Returns:
        The table of speed, size and Dice, and the converted segmenters that are kept; see
        `inference.runtimes.runtime_benchmark.benchmark_runtimes`.
    """
    from unetflow.inference.runtimes.runtime_benchmark import benchmark_runtimes

    validation = samples_of_split(samples, manifest, "validation")
    table, kept = benchmark_runtimes(
        segmenter, validation, validation.instances, optimisation, seed
    )
    for trial in table.itertuples():
        if trial.reason:
            _log.warning("%s is not kept: %s", trial.name, trial.reason)
            continue
        message = "%s: Dice %.4f, %.2f times as fast as Keras"
        _log.info(message, trial.name, trial.dice, trial.speed_over_keras)
    return table, kept
