"""What a training leaves to the machine: precision and processes; and the machine's speed."""

import random
import statistics
import time

import keras
import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.weight_map import list_class_weights
from unetflow.config.parameters import Plan
from unetflow.config.training import PlannedTraining
from unetflow.core.parallel import count_cores
from unetflow.data.fingerprint import Fingerprint
from unetflow.models.device import (
    compiles_with_xla,
    find_gpu_capability,
    has_gpu,
    read_processor_flags,
)
from unetflow.models.segmentation_loss import SegmentationLoss
from unetflow.models.unet import build_unet
from unetflow.training.fused_layers import copy_for_training
from unetflow.training.planner.network_cost import Architecture, Speed, Work, step_work

PRECISIONS = ("float32", "bfloat16")

_QUICK_PROCESSORS = {"avx512_bf16", "amx_bf16"}
_QUICK_GPU = (8, 0)
"""Compute capability (Ampere) from which NVIDIA's GPUs multiply bfloat16 faster."""

_NARROW = 16
"""Filters of the first level below which bfloat16 is slower on a processor, since its library
multiplies 16 channels at a time: 0.6 times as fast with 8 filters, 1.7 times with 16."""

_TRIALS = ((16, 128), (96, 32))
"""Filters and crops of the networks that are timed. The narrow one is limited by memory, the wide
one by multiply-adds. Depth 1 compiles fastest."""

_BATCH = 4
_STEPS = 5
_FASTEST = 1e15
"""Upper bound of any speed, where noise makes a time 0 or less."""


def settle_training(plan: Plan, fingerprint: Fingerprint) -> PlannedTraining:
    """Choose precision and processes for this machine, and class weights for the data.

    Args:
        plan: What `training` says; a weight map already holds the weights of the classes.
        fingerprint: Of the training split.
    """
    training, weights = plan.training, None
    processes = training.processes
    if processes is None:
        processes = count_cores() if has_gpu() else 0
    if training.weight_map is None:
        weights = list_class_weights(training, fingerprint)
    return training.model_copy(
        update={
            "precision": choose_precision(training.precision, plan.model.base_filters),
            "processes": processes,
            "class_weights": "none" if weights is None else weights,
        }
    )


def choose_precision(wanted: str, base_filters: int) -> str:
    """Return the precision to train in.

    Args:
        wanted: One of `PRECISIONS`, or "auto" for bfloat16 where the GPU, or without one the
            processor, multiplies it faster than float32.
        base_filters: Filters of the network's first level.
    """
    if wanted != "auto":
        return wanted
    capability = find_gpu_capability()
    if capability is not None:
        return "bfloat16" if capability >= _QUICK_GPU else "float32"
    quick = _QUICK_PROCESSORS & read_processor_flags() and base_filters >= _NARROW
    return "bfloat16" if quick else "float32"


def measure_speed(precision: str) -> Speed:
    """Time training steps of a narrow and of a wide network on random data, in one of `PRECISIONS`.

    The result holds for the present load of the machine. The random state from which Keras draws
    the seeds of initial weights is restored, but some 0.1 GB of memory stays with the process.
    """
    before = random.getstate()
    try:
        trials = [_start_trial(*trial, precision) for trial in _TRIALS]
        # Alternately, so that a busy moment slows both.
        times = [[_time_step(*trial) for trial in trials] for _ in range(_STEPS)]
    finally:
        random.setstate(before)
    works = [step_work(Architecture(3, filters, 1), crop, _BATCH) for filters, crop in _TRIALS]
    seconds = [statistics.median(column) for column in zip(*times, strict=True)]
    narrow, wide = zip(works, seconds, strict=True)
    return solve_speed(narrow, wide)


def solve_speed(narrow: tuple[Work, float], wide: tuple[Work, float]) -> Speed:
    """Compute the speed from work and seconds of a narrow and of a wide network.

    Each time is multiply-adds x a + values x b: two linear equations for the seconds a and b of one
    multiply-add and of one value. If noise makes one of them negative, it is taken as 0, and the
    other from the sum of both times.
    """
    amounts = np.array([[work.multiply_adds, work.values] for work, _ in (narrow, wide)])
    seconds = np.array([narrow[1], wide[1]])
    multiply_add, value = np.linalg.solve(amounts, seconds)
    if multiply_add <= 0:
        multiply_add, value = 0.0, seconds.sum() / amounts[:, 1].sum()
    elif value <= 0:
        multiply_add, value = seconds.sum() / amounts[:, 0].sum(), 0.0
    return Speed(*(1 / max(float(cost), 1 / _FASTEST) for cost in (multiply_add, value)))


def _start_trial(
    filters: int, crop: int, precision: str
) -> tuple[keras.Model, NDArray[np.generic], NDArray[np.generic]]:
    """Return a network after its first step, and the batch for further ones."""
    unet = copy_for_training(build_unet((None, None, 3), base_filters=filters, depth=1), precision)
    loss = SegmentationLoss("bce + dice")
    unet.compile(optimizer="adam", loss=loss, jit_compile=compiles_with_xla())
    shape = (_BATCH, crop, crop)
    noise = np.random.default_rng(0)
    images = noise.random((*shape, 3), dtype=np.float32)
    labels = noise.integers(0, 2, (*shape, 1), dtype=np.uint8)
    unet.train_on_batch(images, labels)
    return unet, images, labels


def _time_step(
    unet: keras.Model, images: NDArray[np.generic], labels: NDArray[np.generic]
) -> float:
    started = time.perf_counter()
    unet.train_on_batch(images, labels)
    return time.perf_counter() - started
