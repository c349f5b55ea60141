"""Nodes of `optimisation`: a finished segmenter on all runtimes."""

import logging

import pandas as pd

from unetflow.config.optimisation import OptimisationParameters
from unetflow.data.manifest import samples_of_split
from unetflow.data.samples import SampleFolder
from unetflow.pipelines.types import Exported, Segmenter

_log = logging.getLogger(__name__)


def compare_runtimes(
    segmenter: Segmenter,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    optimisation: OptimisationParameters,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Exported]]:
    """Convert a segmenter for each runtime whose masks of the validation images are as good.

    Args:
        segmenter: A segmenter with a Keras model.
        samples: All samples.
        manifest: Table of the samples and their splits.
        optimisation: How runtimes are compared.
        seed: Draws the crops that calibrate int8.

    Returns:
        The table of speed, size and Dice, and the converted segmenters that are kept; see
        `inference.runtimes.runtime_benchmark.benchmark_runtimes`.
    """
    from unetflow.inference.runtimes.runtime_benchmark import benchmark_runtimes

    table, kept = benchmark_runtimes(
        segmenter, samples_of_split(samples, manifest, "validation"), optimisation, seed
    )
    for trial in table.itertuples():
        if trial.reason:
            _log.warning("%s is not kept: %s", trial.name, trial.reason)
            continue
        _log.info(
            "%s: Dice %.4f, %.2f times as fast as Keras",
            trial.name,
            trial.dice,
            trial.speed_over_keras,
        )
    return table, kept
