"""Benchmark of runtimes: masks, objects and speed of a segmenter on validation images."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.augmentation.crops import draw_crop
from unetflow.config.optimisation import OptimisationParameters
from unetflow.core.errors import InputError
from unetflow.core.hashing import generator_for
from unetflow.core.types import IGNORE, Label
from unetflow.data.samples import Sample, list_with_foreground
from unetflow.inference.segmenter import Segmenter
from unetflow.inference.segmenter_files import Exported
from unetflow.metrics.pixels import ChargedDice
from unetflow.metrics.regions import mean_f1

KERAS = "keras"
CALIBRATION_EDGE = 256
"""Smallest edge of a calibration crop in pixels; rounded up to a size that the network takes."""


@dataclass
class BenchmarkResult:
    """A row of the table.

    Attributes:
        name: Name of the runtime with its precision.
        runtime: One of `runtime.RUNTIMES`.
        precision: "float32", "bfloat16" or "int8".
        dice: The charged Dice of the images; see `metrics.pixels.CHARGED_DICE`. None where it did
            not run.
        fall: Difference of Keras's Dice and this one.
        object_f1: Mean F1 of the found objects over IoU above 0.50, 0.55 ... 0.95 and the images
            that hold objects (see `metrics.regions.mean_f1`). None where the images do not number
            their objects, or the segmenter does not separate any.
        object_fall: Difference of Keras's F1 and this one.
        megapixels_per_second: From raw image to mask, median of the rounds.
        speed_over_keras: Median of the rounds' ratios.
        megabytes: Size of its file, in 10^6 bytes.
        kept: Whether its masks and its objects are as good as Keras's.
        reason: Why it is not kept.
    """

    name: str
    runtime: str
    precision: str
    dice: float | None = None
    fall: float | None = None
    object_f1: float | None = None
    object_fall: float | None = None
    megapixels_per_second: float | None = None
    speed_over_keras: float | None = None
    megabytes: float | None = None
    kept: bool = False
    reason: str = ""

    @property
    def file(self) -> str:
        """The name of its network's file: bfloat16 computes with that of float32."""
        return f"{self.runtime}_int8" if self.precision == "int8" else self.runtime


Started = list[tuple[BenchmarkResult, Segmenter]]
ObjectsOf = Callable[[str], NDArray[np.unsignedinteger] | None]


def benchmark_runtimes(
    segmenter: Segmenter,
    samples: Mapping[str, Sample],
    objects_of: ObjectsOf,
    settings: OptimisationParameters,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Exported]]:
    """Convert a segmenter for each runtime, and measure masks, objects and speed.

    Args:
        segmenter: A segmenter with a Keras model; an `InputError` is raised for another one.
        samples: Validation samples, opened one at a time. Crops of the images calibrate int8.
            Without any foreground in them, masks cannot be compared: an `InputError` is raised.
        objects_of: Returns the numbers of a sample's true objects, None where they are unknown.
        settings: How runtimes are compared.
        seed: Draws the crops.

    Returns:
        A table with the columns of `BenchmarkResult`, Keras first; where a runtime is missing or
        the processor lacks a precision, with the reason. And the converted segmenters that are
        kept, by name; a file that serves two precisions is returned once.
    """
    segmenter.model  # noqa: B018 - raises here, since below each runtime would only be skipped
    if not list_with_foreground(samples):
        raise InputError(
            "samples",
            "no validation image holds foreground, so that masks cannot be compared",
            "Give validation images with foreground: `ingestion.split.strategy: stratified` makes "
            "the splits similar",
        )
    trials = [
        BenchmarkResult(KERAS, KERAS, "float32", kept=True),
        BenchmarkResult("openvino", "openvino", "float32"),
        BenchmarkResult("openvino_bfloat16", "openvino", "bfloat16"),
        BenchmarkResult("openvino_int8", "openvino", "int8"),
        BenchmarkResult("onnx", "onnx", "float32"),
    ]
    started: Started = [(trials[0], segmenter)]
    converted: dict[str, Exported] = {}
    for trial in trials[1:]:
        runtime, precision = trial.runtime, trial.precision
        try:
            if runtime not in converted:
                converted[runtime] = segmenter.convert(runtime)
            if precision == "int8":
                crops = _draw_crops(segmenter, samples, settings.calibration_crops, seed)
                converted[trial.file] = converted[runtime].quantised(crops)
            exported = converted[trial.file]
            of_numbers = "bfloat16" if precision == "bfloat16" else "float32"
            started.append((trial, Segmenter.start(exported, of_numbers)))
        except InputError as error:
            trial.reason = f"{error.problem}: {error.fix}"
            continue
        trial.megabytes = sum(map(len, exported.parts.values())) / 1e6
    _measure_quality(started, samples, objects_of, settings)
    _measure_speed(started, samples, settings)
    needed = {trial.file for trial in trials if trial.kept} - {KERAS}
    kept = {name: exported for name, exported in converted.items() if name in needed}
    return pd.DataFrame(list(map(asdict, trials))), kept


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


def _measure_quality(
    started: Started,
    samples: Mapping[str, Sample],
    objects_of: ObjectsOf,
    settings: OptimisationParameters,
) -> None:
    """Score all runtimes, image by image, and set which are kept; Keras is the first."""
    dices = [ChargedDice() for _ in started]
    f1s: list[list[float]] = [[] for _ in started]
    for sample_id, sample in samples.items():
        image, truth = np.asarray(sample.image), np.asarray(sample.label)
        numbers = objects_of(sample_id)
        for dice, f1, (_, segmenter) in zip(dices, f1s, started, strict=True):
            _, label, objects = segmenter.segment(image)
            dice.add_label(truth, label, len(segmenter.settings.classes))
            if segmenter.postprocessing.separates and objects is not None:
                f1.extend(_compare_objects(truth, numbers, objects.numbers))
    for (trial, _), dice, f1 in zip(started, dices, f1s, strict=True):
        trial.dice = dice.value
        trial.fall = dices[0].value - trial.dice
        falls = {"Dice": (trial.fall, settings.tolerance)}
        if f1:
            trial.object_f1 = float(np.mean(f1))
            trial.object_fall = float(np.mean(f1s[0])) - trial.object_f1
            falls["F1 of objects"] = trial.object_fall, settings.object_tolerance
        trial.reason = ", and ".join(
            f"its {name} falls by {fall:.4f}, more than {most:g}"
            for name, (fall, most) in falls.items()
            if fall > most
        )
        trial.kept = not trial.reason


def _compare_objects(
    truth: Label, numbers: NDArray[np.unsignedinteger] | None, found: NDArray[np.unsignedinteger]
) -> list[float]:
    """Return the F1 of an image, or nothing where it holds no object or they are unknown.

    Ignored pixels are taken out of both.
    """
    counted = truth != IGNORE
    if numbers is None or not (numbers * counted).any():
        return []
    return [mean_f1(numbers * counted, found * counted)]


def _measure_speed(
    started: Started, samples: Mapping[str, Sample], settings: OptimisationParameters
) -> None:
    """Time all runtimes in turns on the same images, which each has predicted once."""
    chosen = islice(samples.values(), settings.timed_images)
    images = [np.asarray(sample.image) for sample in chosen]
    megapixels = sum(image.shape[0] * image.shape[1] for image in images) / 1e6
    seconds = np.empty((len(started), settings.rounds))
    for taken in seconds.T:
        for place, (_, segmenter) in enumerate(started):
            begin = time.perf_counter()
            for image in images:
                segmenter.predict(image)
            taken[place] = time.perf_counter() - begin
    for (trial, _), own in zip(started, seconds, strict=True):
        trial.megapixels_per_second = megapixels / statistics.median(own)
        trial.speed_over_keras = statistics.median(seconds[0] / own)
