"""How fast a finished network predicts, by each engine.

    python benchmarks/inference.py --json inference.json

The network alone, from raw images to probabilities, on crops of 256 x 256: 16 filters with 8 crops
in a batch, and 64 filters with 1. Keras's `predict` and `predict_on_batch`, which is what its
engine calls, OpenVINO in float32, in bfloat16 where the processor has it and in int8, and ONNX
Runtime. All take turns; a figure is the median of all calls, a ratio the median of the rounds'
ratios. Made-up images and weights; the speed does not depend on what is in them.

Beside it the seconds that each takes to begin: to convert a Keras model, and to start from what
was exported.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from turns import compare, take_turns

from unetflow.imaging.intensity import IntensityRange
from unetflow.unet.device import describe_device
from unetflow.unet.engines import convert_network, start_engine
from unetflow.unet.engines.engine import Engine, Parts
from unetflow.unet.engines.quantisation import quantise
from unetflow.unet.model import build_unet, geometry_of
from unetflow.unet.prediction import as_predictor
from unetflow.unet.preprocessing import with_preprocessing

CROP = 256
CASES = {"16 filters, batch 8": (16, 8), "64 filters, batch 1": (64, 1)}
PEERS = ("keras predict", "keras predict_on_batch")


def timed(act: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call gives, and its seconds."""
    started = time.perf_counter()
    result = act()
    return result, time.perf_counter() - started


def begin(model: keras.Model, unet: keras.Model) -> tuple[dict[str, Engine], dict[str, float]]:
    """Return the engines of a model, and the seconds that converting and starting took."""
    engines, seconds = {}, {}
    crops = np.random.default_rng(1).integers(0, 256, (2, CROP, CROP, 1), np.uint8)
    parts: dict[str, Parts] = {}
    for name in ("openvino", "onnx"):
        parts[name], seconds[f"convert for {name}"] = timed(
            lambda name=name: convert_network(model, name)
        )
    whole_numbers, seconds["quantise"] = timed(
        lambda: quantise(parts["openvino"], crops, geometry_of(unet), CROP)
    )
    starts = {
        "openvino float32": lambda: start_engine("openvino", parts["openvino"]),
        "openvino bfloat16": lambda: start_engine("openvino", parts["openvino"], "bfloat16"),
        "openvino int8": lambda: start_engine("openvino", whole_numbers),
        "onnx float32": lambda: start_engine("onnx", parts["onnx"]),
    }
    for name, start in starts.items():
        try:
            engines[name], seconds[f"start {name}"] = timed(start)
        except ValueError as error:  # a processor without bfloat16
            print(f"{name} is left out: {error}")
    return engines, seconds


def measure(filters: int, batch: int, calls: int, rounds: int) -> dict[str, Any]:
    """Time all engines on one network."""
    keras.utils.set_random_seed(0)
    unet = build_unet((None, None, 1), base_filters=filters)
    model = with_preprocessing(unet, IntensityRange([0.0], [255.0]))
    windows = np.random.default_rng(0).integers(0, 256, (batch, CROP, CROP, 1), np.uint8)
    engines, seconds = begin(model, unet)
    as_floats = windows.astype(np.float32)
    predictors = {
        "keras predict": lambda _: model.predict(as_floats, verbose=0),
        "keras predict_on_batch": as_predictor(model),
        **engines,
    }

    def action(predict: Callable[[Any], Any]) -> Callable[[], list[float]]:
        predict(windows)
        return lambda: [timed(lambda: predict(windows))[1] for _ in range(calls)]

    taken = take_turns({name: action(p) for name, p in predictors.items()}, rounds)
    expected = predictors["keras predict_on_batch"](windows)
    figures = compare(taken, *PEERS)
    for name, predict in predictors.items():
        everything = sorted(chain.from_iterable(taken[name]))
        figures[name]["quartiles"] = statistics.quantiles(everything, n=4)
        figures[name]["largest difference"] = float(np.abs(predict(windows) - expected).max())
    return {"engines": figures, "begin": seconds}


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=5, help="of each engine in a round")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {"device": describe_device()}
    for case, (filters, batch) in CASES.items():
        results[case] = measure(filters, batch, options.calls, options.rounds)
        print(f"{case}, {CROP} x {CROP}, on {results['device']}")
        for name, figures in results[case]["engines"].items():
            print(
                f"  {name:24} {1000 * figures['seconds']:8.1f} ms"
                f"  {figures[f'speed over {PEERS[0]}']:5.2f} times as fast as predict"
                f"  {figures[f'speed over {PEERS[1]}']:5.2f} as predict_on_batch"
            )
        for name, value in results[case]["begin"].items():
            print(f"  {name:24} {value:8.2f} s")
        if options.json:  # after each case, for the wide network takes minutes
            options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
