"""Training speed of this machine."""

import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from unetflow.models.device import compiles_with_xla
from unetflow.models.segmentation_loss import SegmentationLoss
from unetflow.models.unet import build_unet
from unetflow.training.fused_layers import copy_for_training
from unetflow.training.planner.network_cost import Architecture, Speed, Work, step_work

Batch = NDArray[np.generic]

_STEPS = 5
_FASTEST = 1e15
"""Upper bound of any speed, where noise makes a time 0 or less."""


@dataclass(frozen=True)
class _Probe:
    """A training that is timed."""

    base_filters: int
    crop: int
    batch: int = 4

    @property
    def architecture(self) -> Architecture:
        return Architecture(channels=3, base_filters=self.base_filters, depth=1)

    @property
    def work(self) -> Work:
        return step_work(self.architecture, self.crop, self.batch)


_NARROW, _WIDE = _Probe(base_filters=16, crop=128), _Probe(base_filters=96, crop=32)
"""The narrow one is limited by memory, the wide one by multiply-adds. Depth 1 compiles fastest."""


def measure_speed(precision: str) -> Speed:
    """Time training steps of a narrow and of a wide network on random data.

    The result holds for the present load of the machine. The global random state is restored, but
    some 0.1 GB of memory stays with the process.

    Args:
        precision: Of the training; see `precision.PRECISIONS`.
    """
    with _same_random_state():
        trainings = [_start_training(probe, precision) for probe in (_NARROW, _WIDE)]
        # Alternately, so that a busy moment slows both.
        times = [[_time_step(*training) for training in trainings] for _ in range(_STEPS)]
    narrow, wide = (statistics.median(column) for column in zip(*times, strict=True))
    return solve_speed((_NARROW.work, narrow), (_WIDE.work, wide))


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


def _start_training(probe: _Probe, precision: str) -> tuple[keras.Model, Batch, Batch]:
    """Return a network after its first step, and the batch for further ones."""
    unet = copy_for_training(
        build_unet((None, None, 3), base_filters=probe.base_filters, depth=1), precision
    )
    loss = SegmentationLoss("bce + dice")
    unet.compile(optimizer="adam", loss=loss, jit_compile=compiles_with_xla())
    shape = (probe.batch, probe.crop, probe.crop)
    noise = np.random.default_rng(0)
    images = noise.random((*shape, 3), dtype=np.float32)
    labels = noise.integers(0, 2, (*shape, 1), dtype=np.uint8)
    unet.train_on_batch(images, labels)
    return unet, images, labels


def _time_step(unet: keras.Model, images: Batch, labels: Batch) -> float:
    started = time.perf_counter()
    unet.train_on_batch(images, labels)
    return time.perf_counter() - started


@contextmanager
def _same_random_state() -> Iterator[None]:
    """Restore the state from which Keras draws the seeds of initial weights."""
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)
