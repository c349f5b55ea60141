"""Benchmark of runtimes: Dice and speed of a finished segmenter on validation images."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.augmentation.crops import draw_crop
from unetflow.config.optimisation import OptimisationParameters
from unetflow.core.errors import InputError
from unetflow.core.hashing import generator_for
from unetflow.data.samples import Sample
from unetflow.inference.segmenter import Segmenter
from unetflow.inference.segmenter_files import Exported
from unetflow.metrics.pixels import mean_dice

KERAS = "keras"
CALIBRATION_EDGE = 256
"""Smallest edge of a calibration crop in pixels; rounded up to a size that the network takes."""
_TRIED = {
    "openvino": ("openvino", "float32"),
    "openvino_bfloat16": ("openvino", "bfloat16"),
    "openvino_int8": ("openvino", "int8"),
    "onnx": ("onnx", "float32"),
}


@dataclass
class BenchmarkResult:
    """A row of the table.

    Attributes:
        name: Name of the runtime with its precision.
        runtime: One of `registry.RUNTIMES`.
        precision: "float32", "bfloat16" or "int8".
        dice: Mean over the images; see `metrics.pixels.mean_dice`. None where it did not run.
        fall: Difference of Keras's mean Dice and this one.
        megapixels_per_second: From raw image to mask, median of the rounds.
        speed_over_keras: Median of the rounds' ratios.
        megabytes: Size of its file, in 10^6 bytes.
        kept: Whether its masks are as good as Keras's.
        reason: Why it is not kept.
    """

    name: str
    runtime: str
    precision: str
    dice: float | None = None
    fall: float | None = None
    megapixels_per_second: float | None = None
    speed_over_keras: float | None = None
    megabytes: float | None = None
    kept: bool = False
    reason: str = ""


def benchmark_runtimes(
    segmenter: Segmenter, samples: Mapping[str, Sample], settings: OptimisationParameters, seed: int
) -> tuple[pd.DataFrame, dict[str, Exported]]:
    """Convert a segmenter for each runtime, and measure Dice and speed.

    A runtime that is not installed, or a precision that the processor lacks, gets a row with the
    reason.

    Args:
        segmenter: A segmenter with a Keras model.
        samples: Validation samples, opened one at a time. Crops of the images calibrate int8.
        settings: How runtimes are compared.
        seed: Draws the crops.

    Returns:
        A table with the columns of `BenchmarkResult`, Keras first; and the converted segmenters
        that are kept, by name. A file that serves two precisions is returned once.

    Raises:
        InputError: The segmenter holds no Keras model.
    """
    segmenter.model  # noqa: B018 - raises here, since below each runtime would only be skipped
    started = {KERAS: segmenter}
    trials = {KERAS: BenchmarkResult(KERAS, KERAS, "float32", kept=True)}
    converted: dict[str, Exported] = {}
    for name, (runtime, precision) in _TRIED.items():
        trials[name] = BenchmarkResult(name, runtime, precision)
        file = _file_of(runtime, precision)
        try:
            if runtime not in converted:
                converted[runtime] = segmenter.convert(runtime)
            if precision == "int8":
                crops = _draw_crops(segmenter, samples, settings.calibration_crops, seed)
                converted[file] = converted[runtime].quantised(crops)
            started[name] = Segmenter.start(
                converted[file], "bfloat16" if precision == "bfloat16" else "float32"
            )
        except InputError as error:
            trials[name].reason = f"{error.problem}: {error.fix}"
            continue
        trials[name].megabytes = sum(map(len, converted[file].parts.values())) / 1e6
    _measure_dice(trials, started, samples, settings.tolerance)
    _measure_speed(trials, started, samples, settings)
    table = pd.DataFrame([asdict(trial) for trial in trials.values()])
    needed = {_file_of(t.runtime, t.precision) for t in trials.values() if t.kept} - {KERAS}
    return table, {name: converted[name] for name in converted if name in needed}


def _file_of(runtime: str, precision: str) -> str:
    """Return the name of a network's file: bfloat16 computes with that of float32."""
    return f"{runtime}_int8" if precision == "int8" else runtime


def _draw_crops(
    segmenter: Segmenter, samples: Mapping[str, Sample], number: int, seed: int
) -> list[NDArray[np.generic]]:
    """Draw crops from all images in turn."""
    geometry, ids = segmenter.settings.geometry, list(samples)
    edge = geometry.fit(min(CALIBRATION_EDGE, segmenter.settings.tile) + 2 * geometry.shrink)
    return [
        draw_crop(
            samples[ids[index % len(ids)]],
            edge,
            generator_for(seed, "calibration crop", index),
            margin=geometry.shrink,
        ).image
        for index in range(number)
    ]


def _measure_dice(
    trials: Mapping[str, BenchmarkResult],
    started: Mapping[str, Segmenter],
    samples: Mapping[str, Sample],
    tolerance: float,
) -> None:
    """Score all runtimes, image by image, and set which are kept."""
    scores: dict[str, list[float]] = {name: [] for name in started}
    for sample in samples.values():
        image, truth = np.asarray(sample.image), np.asarray(sample.label)
        for name, segmenter in started.items():
            found = segmenter.predict(image)
            scores[name].append(mean_dice(truth, found, len(segmenter.settings.classes)))
    best = float(np.mean(scores[KERAS]))
    for name, values in scores.items():
        trial = trials[name]
        trial.dice = float(np.mean(values))
        trial.fall = best - trial.dice
        trial.kept = trial.fall <= tolerance
        if not trial.kept:
            trial.reason = f"its Dice falls by {trial.fall:.4f}, more than {tolerance:g}"


def _measure_speed(
    trials: Mapping[str, BenchmarkResult],
    started: Mapping[str, Segmenter],
    samples: Mapping[str, Sample],
    settings: OptimisationParameters,
) -> None:
    """Time all runtimes in turns on the same images, which each has predicted once."""
    chosen = islice(samples.values(), settings.timed_images)
    images = [np.asarray(sample.image) for sample in chosen]
    megapixels = sum(image.shape[0] * image.shape[1] for image in images) / 1e6
    seconds: dict[str, list[float]] = {name: [] for name in started}
    for _ in range(settings.rounds):
        for name, segmenter in started.items():
            begin = time.perf_counter()
            for image in images:
                segmenter.predict(image)
            seconds[name].append(time.perf_counter() - begin)
    for name, taken in seconds.items():
        ratios = [keras / own for keras, own in zip(seconds[KERAS], taken, strict=True)]
        trials[name].megapixels_per_second = megapixels / statistics.median(taken)
        trials[name].speed_over_keras = statistics.median(ratios)
