"""How fast a training goes, beside a bare Keras `fit`, this machine's limits and albumentations.

    python benchmarks/training.py --json training.json

1. Steps: `unet.fit.fit`, which the training node calls, with samples on disk, augmentation,
   progress and checkpoints, against Keras's `fit` of the same network on arrays in memory without
   any of it. Both take turns; a figure is the median of all steps but the first two of each round.
2. Precision: the same step alone in each precision, against float32.
3. The limit: floating-point operations a second of a step, over those of a matrix product.
4. Repeatability: the same step with TensorFlow's deterministic operations and without.
5. Memory: the peak of a training of 100 images and of one of 2,000, with equally many steps.
6. The feed: crops a second without a step behind it, over what albumentations alone does on one
   core times the number of cores.

Made-up images; the speed does not depend on what is in them. Where a part must begin afresh, it
runs in a process of its own. `--parts steps,feed` takes some of them only.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import keras
import numpy as np
from kedro.config import OmegaConfigLoader

from unetflow.imaging.augmentation import Augmenter, PolicySettings, build_policy
from unetflow.imaging.checkpoints import CheckpointFolder
from unetflow.imaging.crops import draw_crop, generator_for
from unetflow.imaging.intensity import IntensityRange
from unetflow.imaging.planning import Architecture, step_work
from unetflow.imaging.samples import Sample, SampleFolder, write_sample
from unetflow.settings import CONFIG_LOADER_ARGS
from unetflow.unet.callbacks import TrainingListeners
from unetflow.unet.device import describe_device
from unetflow.unet.feed import CropFeed
from unetflow.unet.fit import FitSettings, fit
from unetflow.unet.losses import SegmentationLoss, dice
from unetflow.unet.model import build_unet
from unetflow.unet.optimisation import OptimiserSettings

CROP, BATCH = 256, 4
GREY = IntensityRange(low=[0.0], high=[255.0])
PARTS = ("steps", "precision", "limit", "repeatable", "memory", "feed")
SILENT = TrainingListeners(lambda epoch, scores: None, lambda batch: None)


class Clock(keras.callbacks.Callback):
    """Notes how long each step takes, the feed included."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Leave out what was before the epoch."""
        self._mark = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note the time since the last step."""
        now = time.perf_counter()
        if self._mark is not None and batch > 1:
            self.seconds.append(now - self._mark)
        self._mark = now


def policy() -> list[dict[str, Any]]:
    """Return the augmentation policy of the configuration."""
    loader = OmegaConfigLoader("conf", **CONFIG_LOADER_ARGS)
    settings = loader["parameters"]["augmentation"]
    return build_policy(PolicySettings(**settings))


def write_samples(folder: Path, count: int, edge: int) -> SampleFolder:
    """Write noisy images with a bright rectangle each."""
    for number in range(count):
        random = np.random.default_rng(number)
        label = np.zeros((edge, edge), np.uint8)
        top, left = random.integers(0, edge // 2, 2)
        label[top : top + edge // 4, left : left + edge // 3] = 1
        image = 120 * label + random.integers(0, 100, label.shape).astype(np.uint8)
        (folder / f"s{number}").mkdir(parents=True)
        write_sample(folder / f"s{number}", Sample(image[..., None], label))
    return SampleFolder(folder, {f"s{number}": {} for number in range(count)})


def network(filters: int, precision: str = "float32", depth: int = 4) -> keras.Model:
    """Build the network that is timed."""
    policy_before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return build_unet((None, None, 1), base_filters=filters, depth=depth)
    finally:
        keras.config.set_dtype_policy(policy_before)


def compiled(unet: keras.Model) -> keras.Model:
    """Compile a network with the default loss, optimiser and metric."""
    unet.compile(
        optimizer="adam",
        loss=SegmentationLoss("bce + dice"),
        metrics=[keras.metrics.MeanMetricWrapper(dice, name="dice")],
        jit_compile=False,
    )
    return unet


def batches(steps: int, batch: int = BATCH) -> tuple[Any, Any]:
    """Return crops in memory for so many steps."""
    random = np.random.default_rng(0)
    images = random.random((batch * steps, CROP, CROP, 1), dtype=np.float32)
    return images, (images > 0.8).astype(np.uint8)


def settings(**changes: Any) -> FitSettings:
    """Return settings of one epoch."""
    plain = OptimiserSettings("adam", 0.9, True, 0.0, 0.001, "constant", 0.0, None, 0.0)
    values = {
        "epochs": 1,
        "crop_size": CROP,
        "crops_per_image": 1,
        "batch_size": BATCH,
        "foreground_share": 0.0,
        "optimiser": plain,
        "loss": "bce + dice",
        "patience": 10,
        "workers": 2,
        "tile": CROP,
        "seed": 1,
        **changes,
    }
    return FitSettings(**values)


def take_turns(
    actions: dict[str, Callable[[], list[float]]], rounds: int
) -> dict[str, list[list[float]]]:
    """Return the seconds that each action gives, round by round."""
    seconds: dict[str, list[list[float]]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, act in actions.items():
            seconds[name].append(act())
    return seconds


def compare(seconds: dict[str, list[list[float]]], peer: str) -> dict[str, dict[str, float]]:
    """Return the median seconds of a step, and the median of the rounds' ratios to a peer."""
    medians = {name: [statistics.median(part) for part in parts] for name, parts in seconds.items()}
    return {
        name: {
            "seconds": statistics.median(chain.from_iterable(seconds[name])),
            "speed_over_peer": statistics.median(
                theirs / own for own, theirs in zip(values, medians[peer], strict=True)
            ),
        }
        for name, values in medians.items()
    }


def measure_steps(filters: int, steps: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Time the training beside a bare `fit`."""
    samples = write_samples(folder / f"steps_{filters}", BATCH * steps, 512)
    one = {"s0": samples["s0"]}
    images, labels = batches(steps)
    bare, ours = compiled(network(filters)), network(filters)
    augmenter = Augmenter(policy())

    def train_bare() -> list[float]:
        clock = Clock()
        bare.fit(images, labels, batch_size=BATCH, verbose=0, shuffle=False, callbacks=[clock])
        return clock.seconds

    def train_ours() -> list[float]:
        clock, train = Clock(), keras.Model.fit

        def fit_with_clock(self: Any, *args: Any, callbacks: Any, **options: Any) -> Any:
            return train(self, *args, callbacks=[*callbacks, clock], **options)

        keras.Model.fit = fit_with_clock
        try:
            checkpoints = CheckpointFolder(folder / "checkpoints", keep=1)
            place = checkpoints.of({"filters": filters})
            fit(ours, samples, one, GREY, augmenter, settings(), SILENT, place)
            place.remove()
        finally:
            keras.Model.fit = train
        return clock.seconds

    actions = {"bare Keras fit": train_bare, "our training": train_ours}
    return compare(take_turns(actions, rounds), "bare Keras fit")


def step_action(unet: keras.Model, steps: int) -> Callable[[], list[float]]:
    """Return what times single steps on one batch."""
    images, labels = batches(1)
    unet.train_on_batch(images, labels)

    def act() -> list[float]:
        seconds = []
        for _ in range(steps):
            started = time.perf_counter()
            unet.train_on_batch(images, labels)
            seconds.append(time.perf_counter() - started)
        return seconds

    return act


def measure_precision(filters: int, steps: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Time the step in each precision."""
    actions = {
        name: step_action(compiled(network(filters, name)), steps)
        for name in ("float32", "mixed_bfloat16")
    }
    return compare(take_turns(actions, rounds), "float32")


def measure_limit(filters: int, steps: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Time steps and large matrix products in turns."""
    import tensorflow as tf

    edge = 4096
    left, right = (tf.random.stateless_uniform((edge, edge), (n, n)) for n in (1, 2))
    multiply = tf.function(tf.matmul, jit_compile=False)
    multiply(left, right)

    def act() -> list[float]:
        started = time.perf_counter()
        multiply(left, right).numpy()
        return [time.perf_counter() - started]

    actions = {"step": step_action(compiled(network(filters)), steps), "product": act}
    seconds = take_turns(actions, rounds)
    work = step_work(Architecture(channels=1, base_filters=filters, depth=4), CROP, BATCH)
    step = statistics.median(chain.from_iterable(seconds["step"]))
    product = min(chain.from_iterable(seconds["product"]))
    achieved, peak = 2 * work.multiply_adds / step / 1e9, 2 * edge**3 / product / 1e9
    return {"gflops": achieved, "peak_gflops": peak, "share": achieved / peak}


def measure_repeatable(filters: int, steps: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Time steps in two processes at a time that take turns, one with deterministic operations."""
    seconds: dict[str, list[list[float]]] = {"any": [], "deterministic": []}
    for _ in range(rounds):
        for name, found in seconds.items():
            found.append(_in_process("_repeatable", filters, steps, name))
    return compare(seconds, "any")


def _repeatable(filters: int, steps: int, name: str) -> list[float]:
    keras.utils.set_random_seed(1)
    if name == "deterministic":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    return step_action(compiled(network(filters)), steps)()[1:]


def measure_memory(folder: Path) -> dict[str, Any]:
    """Compare the peaks of trainings on few images and on many, with equally many steps."""
    return {str(count): _in_process("_peak", count, str(folder)) for count in (100, 2000)}


def _peak(count: int, folder: str) -> float:
    samples = write_samples(Path(folder) / f"memory_{count}", count, 256)
    unet = network(4, depth=2)
    changes = {"crop_size": 128, "tile": 256, "crops_per_image": 2000 // count}
    fit(
        unet, samples, {"s0": samples["s0"]}, GREY, Augmenter(policy()), settings(**changes), SILENT
    )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


class _Sink(keras.Model):
    """Takes batches and does nothing with them."""

    def train_step(self, data: Any) -> dict[str, Any]:
        images, _ = data
        return {"first": images[0, 0, 0, 0]}


def measure_feed(rounds: int, folder: Path) -> dict[str, Any]:
    """Compare the feed with albumentations on one core."""
    cores = len(os.sched_getaffinity(0))
    samples = write_samples(folder / "feed", 100, 512)
    augmenter = Augmenter(policy())
    rates: dict[str, list[float]] = {"albumentations": [], "workers": [], "processes": []}
    feeds = {
        kind: CropFeed(
            samples,
            GREY,
            augmenter,
            crop_size=CROP,
            batch_size=BATCH,
            crops_per_image=10,
            seed=1,
            **{kind: cores},
        )
        for kind in ("workers", "processes")
    }
    crops = [draw_crop(samples[i], CROP, generator_for(i)) for i in samples]
    ready = [(crop.image.astype(np.float32) / 255, crop.label) for crop in crops]
    sink = _Sink()
    sink.compile(jit_compile=False)
    cv2.setNumThreads(1)
    for _ in range(rounds):
        started = time.perf_counter()
        for number, (image, label) in enumerate(4 * ready):
            augmenter(image, label, number)
        rates["albumentations"].append(4 * len(ready) / (time.perf_counter() - started))
        for kind, feed in feeds.items():
            clock = Clock()
            sink.fit(feed, verbose=0, shuffle=False, callbacks=[clock])
            rates[kind].append(BATCH * len(clock.seconds) / sum(clock.seconds))
    feeds["processes"].close()
    one = rates["albumentations"]
    return {
        "cores": cores,
        "albumentations on one core": statistics.median(one),
        **{
            kind: {
                "crops_per_second": statistics.median(rates[kind]),
                "over_cores": statistics.median(
                    many / (cores * alone) for many, alone in zip(rates[kind], one, strict=True)
                ),
            }
            for kind in feeds
        },
    }


def _in_process(function: str, *arguments: Any) -> Any:
    done = subprocess.run(
        [sys.executable, __file__, "--call", json.dumps([function, *arguments])],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print the figures and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--filters", default="16,64")
    parser.add_argument("--steps", type=int, default=10, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--call", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.call:
        name, *arguments = json.loads(options.call)
        print(json.dumps({"_repeatable": _repeatable, "_peak": _peak}[name](*arguments)))
        return
    parts = options.parts.split(",")
    results: dict[str, Any] = {"device": describe_device(), "backend": keras.backend.backend()}
    measures = {
        "steps": measure_steps,
        "precision": measure_precision,
        "limit": measure_limit,
        "repeatable": measure_repeatable,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in parts:
            if part in measures:
                results[part] = {
                    filters: measures[part](int(filters), options.steps, options.rounds, folder)
                    for filters in options.filters.split(",")
                }
            elif part == "memory":
                results[part] = measure_memory(folder)
            else:
                results[part] = measure_feed(options.rounds, folder)
            print(part, json.dumps(results[part], indent=2), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
