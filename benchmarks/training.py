"""How fast a training goes, beside a bare Keras `fit`, this machine's limits and albumentations.

    python benchmarks/training.py --json training.json

1. Steps: `unet.fit.fit`, which the training node calls, with samples on disk, augmentation,
   progress and checkpoints, against Keras's `fit` on arrays in memory without any of it: of the
   same network in the same precision, and of Keras's own network in float32.
2. Precision: a step alone, of Keras's own network and of the copy that trains
   (`unet.training_copy`), in float32 and in bfloat16; with `--pytorch PYTHON`, which must have
   PyTorch, that of plain PyTorch too (`benchmarks/plain_pytorch.py`).
3. The limit: floating-point operations a second of a step, over those of a matrix product.
4. Repeatability: the same step with TensorFlow's deterministic operations and without.
5. Memory: the peak of a training of 100 images and of one of 2,000, with equally many steps.
6. The feed: crops a second without a step behind it, over what albumentations alone does on one
   core times the number of cores.

All take turns; a figure is the median of all steps, a ratio the median of the rounds' ratios.
Made-up images; the speed does not depend on what is in them. Where a part must begin afresh, it
runs in a process of its own. `--parts steps,feed` takes some of them only, and
`KERAS_BACKEND=jax` another backend.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import keras
import numpy as np
from kedro.config import OmegaConfigLoader
from turns import Rounds, compare, print_table, run_json, take_turns

from unetflow.imaging.augmentation import Augmenter, PolicySettings, build_policy
from unetflow.imaging.checkpoints import CheckpointFolder
from unetflow.imaging.intensity import IntensityRange
from unetflow.imaging.planning import Architecture, step_work
from unetflow.imaging.samples import Sample, SampleFolder, write_sample
from unetflow.imaging.workers import count_cores, keep_freed_memory
from unetflow.unet.callbacks import TrainingListeners
from unetflow.unet.device import compiles_with_xla, describe_device, has_gpu
from unetflow.unet.feed import CropFeed
from unetflow.unet.fit import FitSettings, fit
from unetflow.unet.losses import SegmentationLoss, dice
from unetflow.unet.model import build_unet
from unetflow.unet.optimisation import OptimiserSettings
from unetflow.unet.precision import PRECISIONS, choose_precision
from unetflow.unet.training_copy import copy_for_training

CONFIGURATION = Path(__file__).parents[1] / "conf"
PRESET_ELASTIC = {
    "transform": "ElasticTransform",
    "alpha": 60.0,
    "sigma": 8.0,
    "border_mode": 4,
    "p": 0.3,
}
"""Albumentations' own step that bends as much as the preset's `ElasticField` does."""

CROP = 256
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
    loader = OmegaConfigLoader(
        str(CONFIGURATION),
        base_env="base",
        default_run_env="base",
        config_patterns={"globals": ["globals*"], "parameters": ["parameters*"]},
    )
    return build_policy(PolicySettings(**loader["parameters"]["augmentation"]))


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


def trains(filters: int, precision: str) -> keras.Model:
    """Build the network that `fit` trains, compiled."""
    return compiled(copy_for_training(network(filters), precision))


def compiled(unet: keras.Model) -> keras.Model:
    """Compile a network with the default loss, optimiser and metric."""
    unet.compile(
        optimizer="adam",
        loss=SegmentationLoss("bce + dice"),
        metrics=[keras.metrics.MeanMetricWrapper(dice, name="dice")],
        jit_compile=compiles_with_xla(),
    )
    return unet


def batches(steps: int, batch: int) -> tuple[Any, Any]:
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
        "batch_size": 4,
        "foreground_share": 0.0,
        "optimiser": plain,
        "loss": "bce + dice",
        "patience": 10,
        "workers": 2,
        "processes": count_cores() if has_gpu() else 0,
        "precision": choose_precision("auto", 16),
        "tile": CROP,
        "seed": 1,
        **changes,
    }
    return FitSettings(**values)


def measure_steps(options: argparse.Namespace, filters: int, folder: Path) -> dict[str, Any]:
    """Time the training beside a bare `fit`."""
    samples = write_samples(folder / f"steps_{filters}", options.batch * options.steps, 512)
    one = {"s0": samples["s0"]}
    images, labels = batches(options.steps, options.batch)
    same, keras_own = trains(filters, settings().precision), compiled(network(filters))
    ours, augmenter = network(filters), Augmenter(policy())

    def train_bare(unet: keras.Model) -> list[float]:
        clock = Clock()
        of_steps = {"batch_size": options.batch, "shuffle": False}
        unet.fit(images, labels, **of_steps, verbose=0, callbacks=[clock])
        return clock.seconds

    def train_ours() -> list[float]:
        clock, train = Clock(), keras.Model.fit

        def fit_with_clock(self: Any, *args: Any, callbacks: Any, **options: Any) -> Any:
            return train(self, *args, callbacks=[*callbacks, clock], **options)

        keras.Model.fit = fit_with_clock
        try:
            checkpoints = CheckpointFolder(folder / "checkpoints", keep=1)
            place = checkpoints.of({"filters": filters})
            how = settings(batch_size=options.batch)
            fit(ours, samples, one, GREY, augmenter, how, SILENT, place)
            place.remove()
        finally:
            keras.Model.fit = train
        return clock.seconds

    actions = {
        "bare fit of the same": lambda: train_bare(same),
        "our training": train_ours,
        "bare fit of Keras's own in float32": lambda: train_bare(keras_own),
    }
    seconds = take_turns(actions, options.rounds)
    return {
        "precision": settings().precision,
        **compare(seconds, "bare fit of the same", "bare fit of Keras's own in float32"),
    }


def step_action(unet: keras.Model, steps: int, batch: int) -> Callable[[], list[float]]:
    """Return what times single steps on one batch."""
    images, labels = batches(1, batch)
    unet.train_on_batch(images, labels)

    def act() -> list[float]:
        seconds = []
        for _ in range(steps):
            started = time.perf_counter()
            unet.train_on_batch(images, labels)
            seconds.append(time.perf_counter() - started)
        return seconds

    return act


def measure_precision(options: argparse.Namespace, filters: int, folder: Path) -> dict[str, Any]:
    """Time the step of each network in each precision."""
    actions = {
        f"Keras's own, {name}": step_action(
            compiled(network(filters, policy)), options.steps, options.batch
        )
        for name, policy in (("float32", "float32"), ("bfloat16", "mixed_bfloat16"))
    }
    for name in PRECISIONS:
        actions[f"ours, {name}"] = step_action(trains(filters, name), options.steps, options.batch)
        if options.pytorch:
            actions[f"plain PyTorch, {name}"] = pytorch_action(options, filters, name)
    return compare(take_turns(actions, options.rounds), "Keras's own, float32")


def pytorch_action(
    options: argparse.Namespace, filters: int, precision: str
) -> Callable[[], list[float]]:
    """Return what times the peer's steps, in a process of another Python."""
    command = [options.pytorch, str(Path(__file__).with_name("plain_pytorch.py"))]
    facts = {
        "filters": filters,
        "precision": precision,
        "steps": options.steps,
        "batch": options.batch,
    }
    for name, value in facts.items():
        command += [f"--{name}", str(value)]
    return lambda: run_json(command)


def product_action(edge: int, dtype: str) -> Callable[[], list[float]]:
    """Return what times the product of two large matrices."""
    random = np.random.default_rng(0)
    left, right = (
        keras.ops.cast(random.random((edge, edge), dtype=np.float32), dtype) for _ in range(2)
    )

    def multiply(a: Any, b: Any) -> Any:
        return (a @ b)[0, 0]

    if keras.backend.backend() == "jax":
        import jax

        multiply = jax.jit(multiply)
    float(multiply(left, right))

    def act() -> list[float]:
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            float(multiply(left, right))  # which waits for a GPU
            seconds.append(time.perf_counter() - started)
        return seconds

    return act


def measure_limit(options: argparse.Namespace, filters: int, folder: Path) -> dict[str, Any]:
    """Time steps and large matrix products in turns, in each precision."""
    edge = 16384 if has_gpu() else 4096
    work = step_work(Architecture(channels=1, base_filters=filters, depth=4), CROP, options.batch)
    shares = {}
    for name in PRECISIONS:
        actions = {
            "step": step_action(trains(filters, name), options.steps, options.batch),
            "product": product_action(edge, name),
        }
        seconds = take_turns(actions, options.rounds)
        step = statistics.median(chain.from_iterable(seconds["step"]))
        product = min(chain.from_iterable(seconds["product"]))
        achieved, peak = 2 * work.multiply_adds / step / 1e9, 2 * edge**3 / product / 1e9
        shares[name] = {"gflops": achieved, "peak_gflops": peak, "share": achieved / peak}
    return shares


def measure_repeatable(options: argparse.Namespace, filters: int, folder: Path) -> dict[str, Any]:
    """Time steps in two processes at a time that take turns, one with deterministic operations."""
    names = ("any", "deterministic")
    seconds: Rounds = {name: [] for name in names}
    for number in range(options.rounds):
        for name in names[:: 1 - 2 * (number % 2)]:
            seconds[name].append(
                _in_process("_repeatable", filters, options.steps, options.batch, name)
            )
    return compare(seconds, "any")


def _repeatable(filters: int, steps: int, batch: int, name: str) -> list[float]:
    keras.utils.set_random_seed(1)
    if name == "deterministic":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    return step_action(trains(filters, choose_precision("auto", 16)), steps, batch)()[1:]


def measure_memory(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
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


def _augment(rounds: int, memory: str) -> list[float]:
    """Time albumentations alone with its own elastic step, in a process of its own.

    With the memory "kept" it is set up as the processes of the feed are, which spares it nearly
    half of its time; without, as anybody's process is.
    """
    import albumentations

    if memory == "kept":
        keep_freed_memory()
    cv2.setNumThreads(1)
    steps = []
    for step in policy():
        values = dict(PRESET_ELASTIC if step["transform"] == "ElasticField" else step)
        steps.append(getattr(albumentations, values.pop("transform"))(**values))
    transform = albumentations.Compose(steps)
    random = np.random.default_rng(0)
    images = random.random((100, CROP, CROP, 1), dtype=np.float32)
    label = np.zeros((CROP, CROP), np.uint8)
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        for image in images:
            transform(image=image, mask=label)
        seconds.append((time.perf_counter() - started) / len(images))
    return seconds


def measure_feed(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compare the feed with albumentations on one core."""
    cores = count_cores()
    samples = write_samples(folder / "feed", 100, 512)
    feeds = {
        kind: CropFeed(
            samples,
            GREY,
            Augmenter(policy()),
            crop_size=CROP,
            batch_size=4,
            crops_per_image=4 * cores,
            seed=1,
            **{kind: cores},
        )
        for kind in ("workers", "processes")
    }

    def feed_alone(feed: CropFeed, threads: int) -> list[float]:
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(feed.__getitem__, range(feed.num_batches)):
                pass
        seconds = time.perf_counter() - started
        feed.on_epoch_end()
        return [seconds / feed.num_crops]

    actions = {
        "albumentations on one core": lambda: _in_process("_augment", 5, "as usual"),
        "the same with memory kept": lambda: _in_process("_augment", 5, "kept"),
        "threads": lambda: feed_alone(feeds["workers"], cores),
        "processes": lambda: feed_alone(feeds["processes"], 2),  # as many as `CropFeed` asks for
    }
    take_turns(actions, 1)  # the first epoch starts processes and reads the files' headers
    peers = ("albumentations on one core", "the same with memory kept")
    found = compare(take_turns(actions, options.rounds), *peers)
    feeds["processes"].close()
    for figures in found.values():
        figures["crops a second"] = 1 / figures["seconds"]
        for peer in peers:
            figures[f"over all cores of {peer}"] = figures[f"speed over {peer}"] / cores
    return {"cores": cores, **found}


def _in_process(function: str, *arguments: Any) -> Any:
    return run_json([sys.executable, __file__, "--call", json.dumps([function, *arguments])])


MEASURES = {
    "steps": measure_steps,
    "precision": measure_precision,
    "limit": measure_limit,
    "repeatable": measure_repeatable,
}
"""The parts that are measured for each number of filters."""


def main() -> None:
    """Measure, print the figures and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--filters", default="16,64")
    parser.add_argument("--steps", type=int, default=10, help="of a round")
    parser.add_argument("--batch", type=int, default=4, help="crops in a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pytorch", help="a Python that has PyTorch")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--call", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.call:
        name, *arguments = json.loads(options.call)
        apart = {"_repeatable": _repeatable, "_peak": _peak, "_augment": _augment}
        print(json.dumps(apart[name](*arguments)))
        return
    results: dict[str, Any] = {
        "device": describe_device(),
        "backend": keras.backend.backend(),
        "batch": options.batch,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in options.parts.split(","):
            if part in MEASURES:
                results[part] = {
                    filters: MEASURES[part](options, int(filters), folder)
                    for filters in options.filters.split(",")
                }
            else:
                results[part] = {"memory": measure_memory, "feed": measure_feed}[part](
                    options, folder
                )
            for filters, figures in results[part].items() if part in MEASURES else ():
                print_table(f"{part}, {filters} filters", figures)
            if part not in MEASURES:
                print_table(part, results[part])
            if options.json:
                options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
