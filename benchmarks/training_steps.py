"""A training's steps, beside a bare Keras `fit`, plain PyTorch and this machine's limits."""

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import numpy as np
from training_setup import CROP, GREY, SILENT, call_apart, network, policy, settings, write_samples
from turns import Rounds, compare, run_json, take_turns

from unetflow.augmentation.policy import Augmenter
from unetflow.models.device import compiles_with_xla, has_gpu
from unetflow.models.segmentation_loss import SegmentationLoss, dice
from unetflow.training.fit import fit
from unetflow.training.fused_layers import copy_for_training
from unetflow.training.machine import PRECISIONS, choose_precision
from unetflow.training.planner.network_cost import Architecture, step_work
from unetflow.training.saved_states import CheckpointFolder


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
            fit(ours, samples, one, GREY, augmenter, how, SILENT, place, seed=1)
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
                call_apart("steps_apart", filters, options.steps, options.batch, name)
            )
    return compare(seconds, "any")


def steps_apart(filters: int, steps: int, batch: int, name: str) -> list[float]:
    """Time single steps with the operations that are named."""
    keras.utils.set_random_seed(1)
    if name == "deterministic":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    return step_action(trains(filters, choose_precision("auto", 16)), steps, batch)()[1:]
