"""A training keeps the memory of freed tensors."""

import ctypes
import platform
import resource

import numpy as np
import pytest

from tests.support.networks import GREY, fit_settings, square_samples, tiny_unet
from unetflow.augmentation.policy import Augmenter
from unetflow.training.callbacks import TrainingListeners
from unetflow.training.fit import fit

MEGABYTES = 4


def count_page_faults() -> int:
    """Return how often the system had to hand out a page for arrays of a few megabytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(MEGABYTES << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_freed_memory_is_used_again_after_tensorflow_has_forbidden_it() -> None:
    ctypes.CDLL(None).mallopt(-3, 128 << 10)  # what TensorFlow's setting of the other one implies
    pages = 20 * (MEGABYTES << 20) // resource.getpagesize()  # or fewer, where they are huge
    listeners = TrainingListeners(lambda epoch, logs: None, lambda batch: None)
    samples = square_samples(2, seed=1)
    fit(tiny_unet(), samples, samples, GREY, Augmenter([]), fit_settings(), listeners, seed=3)
    assert count_page_faults() < pages / 4
