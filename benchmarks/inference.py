"""How fast a finished network predicts, by each runtime.

    python benchmarks/inference.py --json inference.json [--pytorch PYTHON] [--only network]

1. `network`: the network alone, from raw images to probabilities, on crops of 256 x 256: 16 filters
   with 8 crops in a batch, and 64 filters with 1. Keras's `predict` and `predict_on_batch`, which
   is what its runtime calls, OpenVINO in float32, in bfloat16 where the processor has it and in
   int8, ONNX Runtime, and with `--pytorch` the same network in plain PyTorch, by another Python
   that has it. Beside it the seconds that each takes to begin: to convert a Keras model, and to
   start from what was exported.
2. `limit`: what of the machine's own peak in a product of large matrices in the same type of number
   (by OpenVINO too) each reaches, counted by the multiply-adds of the convolutions.
3. `path`: a whole image from its file to the written masks, per megapixel: reading, cutting into
   windows and putting together, the network, the decision, and writing the label TIFF and the PNG
   for people.

All take turns; a figure is the median of all calls, a ratio the median of the rounds' ratios.
Made-up images and weights; the speed of a network does not depend on what is in them.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from PIL import Image
from turns import Rounds, compare, print_table, run_json, take_turns

from unetflow.core.parallel import count_cores
from unetflow.core.types import Label
from unetflow.data.intensity import IntensityRange
from unetflow.data.synthetic import write_synthetic_images
from unetflow.inference.runtimes.openvino_precision import quantise
from unetflow.inference.runtimes.runtime import (
    Parts,
    Runtime,
    as_predictor,
    convert_network,
    start_runtime,
)
from unetflow.inference.segmenter import Segmenter
from unetflow.io.formats.readers import read_image
from unetflow.io.tiff_writer import write_tiff
from unetflow.models.device import describe_device
from unetflow.models.unet import build_unet, geometry_of, with_preprocessing
from unetflow.tiling.windows import predict_tiled
from unetflow.training.planner.network_cost import Architecture, forward_work

CROP = 256
CASES = {"16 filters, batch 8": (16, 8), "64 filters, batch 1": (64, 1)}
PEERS = ("keras predict", "keras predict_on_batch")
PYTORCH = "plain PyTorch, bfloat16"
DEPTH = 4
KINDS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
"""Types of number, and what OpenVINO is told for each; int8 is in the network itself."""
IMAGE = 2048
"""Edge of the image that goes all the way."""


def timed(act: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call gives, and its seconds."""
    started = time.perf_counter()
    result = act()
    return result, time.perf_counter() - started


def begin(model: keras.Model, unet: keras.Model) -> tuple[dict[str, Runtime], dict[str, float]]:
    """Return the runtimes of a model, and the seconds that converting and starting took."""
    runtimes, seconds = {}, {}
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
        "openvino float32": lambda: start_runtime("openvino", parts["openvino"]),
        "openvino bfloat16": lambda: start_runtime("openvino", parts["openvino"], "bfloat16"),
        "openvino int8": lambda: start_runtime("openvino", whole_numbers),
        "onnx float32": lambda: start_runtime("onnx", parts["onnx"]),
    }
    for name, start in starts.items():
        try:
            runtimes[name], seconds[f"start {name}"] = timed(start)
        except ValueError as error:  # a processor without bfloat16
            print(f"{name} is left out: {error}")
    return runtimes, seconds


def network(filters: int) -> tuple[keras.Model, keras.Model]:
    """Return a U-Net, and the model with its preprocessing."""
    keras.utils.set_random_seed(0)
    unet = build_unet((None, None, 1), base_filters=filters, depth=DEPTH)
    return unet, with_preprocessing(unet, IntensityRange([0.0], [255.0]))


def measure_network(options: argparse.Namespace, filters: int, batch: int) -> dict[str, Any]:
    """Time all runtimes on one network."""
    unet, model = network(filters)
    windows = np.random.default_rng(0).integers(0, 256, (batch, CROP, CROP, 1), np.uint8)
    runtimes, seconds = begin(model, unet)
    as_floats = windows.astype(np.float32)
    predictors = {
        "keras predict": lambda _: model.predict(as_floats, verbose=0),
        "keras predict_on_batch": as_predictor(model),
        **runtimes,
    }

    def action(predict: Callable[[Any], Any]) -> Callable[[], list[float]]:
        predict(windows)
        return lambda: [timed(lambda: predict(windows))[1] for _ in range(options.calls)]

    actions = {name: action(predict) for name, predict in predictors.items()}
    if options.pytorch:
        for precision in ("float32", "bfloat16"):
            name = f"plain PyTorch, {precision}"
            actions[name] = pytorch_action(options, filters, batch, precision)
    taken = take_turns(actions, options.rounds)
    expected = predictors["keras predict_on_batch"](windows)
    figures = compare(taken, *PEERS, *([PYTORCH] if options.pytorch else []))
    for name in taken:
        everything = sorted(chain.from_iterable(taken[name]))
        figures[name]["quartiles"] = statistics.quantiles(everything, n=4)
    for name, predict in predictors.items():
        figures[name]["largest difference"] = float(np.abs(predict(windows) - expected).max())
    return {"runtimes": figures, "seconds to begin": seconds}


def pytorch_action(
    options: argparse.Namespace, filters: int, batch: int, precision: str
) -> Callable[[], list[float]]:
    """Return what times the peer's predictions, in a process of another Python."""
    command = [options.pytorch, str(Path(__file__).with_name("plain_pytorch.py")), "--predict"]
    facts = {"filters": filters, "precision": precision, "steps": options.calls, "batch": batch}
    for name, value in facts.items():
        command += [f"--{name}", str(value)]
    return lambda: run_json(command)


def peak_models() -> dict[str, tuple[float, Any, Any]]:
    """Return what comes nearest to the machine's peak: multiply-adds, a network and its input.

    A product of two large matrices, the same as a convolution with kernels of one pixel, and a
    convolution of many channels, which is the quickest of them in some types of number.
    """
    import openvino
    from openvino import opset15

    random = np.random.default_rng(0)

    def draw(*shape: int) -> Any:
        return random.random(shape, dtype=np.float32)

    def model(entry: Any, product: Any) -> Any:
        # One number, so that no time goes to a large result
        axes = np.arange(len(product.get_output_partial_shape(0)))
        return openvino.Model([opset15.reduce_max(product, axes)], [entry])

    left, small, maps = draw(4096, 4096), draw(1, 2048, 32, 64), draw(1, 256, 96, 96)
    plain, flat, wide = (opset15.parameter(x.shape, np.float32) for x in (left, small, maps))
    none, one = [0, 0], [1, 1]
    square = opset15.matmul(plain, opset15.constant(draw(4096, 4096)), False, True)
    narrow = opset15.convolution(flat, draw(2048, 2048, 1, 1), one, none, none, one)
    broad = opset15.convolution(wide, draw(256, 256, 3, 3), one, one, one, one)
    return {
        "product": (4096**3, model(plain, square), left),
        "kernels of one pixel": (2048**3, model(flat, narrow), small),
        "convolution": (9 * maps.size * 256, model(wide, broad), maps),
    }


def peak_actions(precision: str) -> dict[str, tuple[float, Callable[[], Any]]]:
    """Return the multiply-adds of each of these, and what computes it in a type of number."""
    import nncf
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": getattr(openvino.Type, KINDS[precision]),
        "INFERENCE_NUM_THREADS": count_cores(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    found = {}
    for name, (work, plain, values) in peak_models().items():
        in_whole_numbers = precision == "int8"
        calibration = nncf.Dataset([values])
        model = nncf.quantize(plain, calibration, subset_size=1) if in_whole_numbers else plain
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        found[name] = work, lambda compiled=compiled, values=values: compiled(values)
    return found


def measure_limit(options: argparse.Namespace, filters: int, batch: int) -> dict[str, Any]:
    """Time OpenVINO's runtimes and what reaches the peak in turns, in each type of number."""
    unet, model = network(filters)
    runtimes, _ = begin(model, unet)
    windows = np.random.default_rng(0).integers(0, 256, (batch, CROP, CROP, 1), np.uint8)
    architecture = Architecture(channels=1, base_filters=filters, depth=DEPTH)
    work = forward_work(architecture, CROP, CROP).times(batch).multiply_adds
    shares = {}

    def action(act: Callable[[], Any]) -> Callable[[], list[float]]:
        act()
        return lambda: [timed(act)[1] for _ in range(options.calls)]

    for name in KINDS:
        runtime = runtimes.get(f"openvino {name}")
        if runtime is None:
            continue
        peaks = peak_actions(name)
        acts = {"network": lambda runtime=runtime: runtime(windows)}
        acts |= {peak: act for peak, (_, act) in peaks.items()}
        seconds: Rounds = take_turns({key: action(a) for key, a in acts.items()}, options.rounds)
        own = 2 * work / statistics.median(chain.from_iterable(seconds["network"])) / 1e9
        best = {
            peak: 2 * multiply_adds / min(chain.from_iterable(seconds[peak])) / 1e9
            for peak, (multiply_adds, _) in peaks.items()
        }
        quickest = max(best, key=lambda peak: best[peak])
        shares[name] = {
            "gflops": own,
            "peak gflops": best[quickest],
            "share": own / best[quickest],
            "the peak is a": quickest,
        }
    return shares


class Clock:
    """A runtime that adds up the seconds that another one takes."""

    def __init__(self, runtime: Runtime) -> None:
        self.seconds = 0.0
        self._runtime = runtime

    def __call__(self, windows: Any) -> Any:
        """Predict."""
        found, seconds = timed(lambda: self._runtime(windows))
        self.seconds += seconds
        return found


def segment_file(segmenter: Segmenter, path: Path, folder: Path) -> dict[str, float]:
    """Go all the way from a file to written masks; return the seconds of each part."""
    settings, clock = segmenter.settings, Clock(segmenter.runtime)
    image, reading = timed(lambda: read_image(path))
    probabilities, predicting = timed(
        lambda: predict_tiled(clock, image, settings.geometry, settings.tile)
    )
    label, deciding = timed(lambda: segmenter.postprocessing.apply(probabilities))
    _, writing = timed(lambda: write_masks(label, folder))
    return {
        "network": clock.seconds,
        "reading": reading,
        "tiling": predicting - clock.seconds,
        "deciding": deciding,
        "writing": writing,
    }


def write_masks(label: Label, folder: Path) -> None:
    """Write what the pipeline writes: class indices, and a mask for people."""
    write_tiff(folder / "label.tif", label, compression="zlib")
    Image.fromarray(label * np.uint8(255)).save(folder / "mask.png")


def measure_path(options: argparse.Namespace) -> dict[str, Any]:
    """Time the whole path on a large made-up image, by each runtime."""
    segmenter = Segmenter.load(options.segmenter)
    with TemporaryDirectory() as place:
        folder = Path(place)
        write_synthetic_images(folder, 1, IMAGE, seed=1)
        path = folder / "images/nuclei_000.tif"
        crops = [read_image(path)[:CROP, start : start + CROP] for start in range(0, IMAGE, CROP)]
        exported = segmenter.convert("openvino")
        runtimes = {
            "keras": segmenter,
            "openvino float32": Segmenter.start(exported),
            "openvino int8": Segmenter.start(segmenter.convert("openvino", crops)),
        }
        try:
            runtimes["openvino bfloat16"] = Segmenter.start(exported, "bfloat16")
        except ValueError as error:
            print(f"bfloat16 is left out: {error}")
        parts: dict[str, list[dict[str, float]]] = {name: [] for name in runtimes}
        for number in range(options.rounds + 1):
            for name, one in runtimes.items():
                taken = segment_file(one, path, folder)
                if number:  # the first is for warming up
                    parts[name].append(taken)
    rows: dict[str, Any] = {"megapixels": IMAGE**2 / 1e6, "segmenter": options.segmenter.name}
    network = [part["network"] for part in parts["openvino float32"]]
    for name, taken in parts.items():
        rows[name] = {
            part: statistics.median(seconds[part] for seconds in taken) / rows["megapixels"]
            for part in taken[0]
        }
        rest = [sum(one.values()) - one["network"] for one in taken]
        rows[name]["all but the network, of float32's network"] = statistics.median(
            other / own for other, own in zip(rest, network, strict=True)
        )
    return rows


def main() -> None:
    """Measure, print tables and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=5, help="of each runtime in a round")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--only", choices=["network", "limit", "path"], action="append")
    parser.add_argument("--pytorch", help="a Python that has PyTorch")
    parser.add_argument(
        "--segmenter", type=Path, default=Path("data/06_models/segmenter.keras"), help="for `path`"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    wanted = options.only or ["network", "limit", "path"]
    results: dict[str, Any] = {"device": describe_device()}

    def note(title: str, figures: dict[str, Any]) -> None:
        results[title] = figures
        print_table(title, figures)
        if options.json:  # after each, for the wide network takes minutes
            options.json.write_text(json.dumps(results, indent=2))

    for case, (filters, batch) in CASES.items():
        if "network" in wanted:
            figures = measure_network(options, filters, batch)
            note(f"{case}, to begin", figures.pop("seconds to begin"))
            note(f"network alone, {case}", figures["runtimes"])
        if "limit" in wanted:
            note(f"share of the peak, {case}", measure_limit(options, filters, batch))
    if "path" in wanted:
        note("seconds for a megapixel", measure_path(options))


if __name__ == "__main__":
    main()
