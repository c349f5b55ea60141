"""A training's feed, beside albumentations alone, and the memory that images take."""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from training_setup import CROP, GREY, SILENT, call_apart, network, policy, settings, write_samples
from turns import compare, peak_memory, take_turns

from unetflow.augmentation.policy import Augmenter
from unetflow.core.memory import keep_freed_memory
from unetflow.core.parallel import count_cores
from unetflow.training.data_loader import CropLoader
from unetflow.training.fit import fit

PRESET_ELASTIC = {
    "transform": "ElasticTransform",
    "alpha": 60.0,
    "sigma": 8.0,
    "border_mode": 4,
    "p": 0.3,
}
"""Albumentations' own step that bends as much as the preset's `ElasticField` does."""


def measure_memory(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compare the peaks of trainings on few images and on many, with equally many steps."""
    return {str(count): call_apart("peak", count, str(folder)) for count in (100, 2000)}


def peak(count: int, folder: str) -> float:
    """Return the greatest memory of a process that trains on so many images, in 10^6 bytes."""
    samples = write_samples(Path(folder) / f"memory_{count}", count, 256)
    unet = network(4, depth=2)
    changes = {"crop_size": 128, "tile": 256, "crops_per_image": 2000 // count}
    fit(
        unet,
        samples,
        {"s0": samples["s0"]},
        GREY,
        Augmenter(policy()),
        settings(**changes),
        SILENT,
        seed=1,
    )
    return peak_memory() / 1e6


def augment_alone(rounds: int, memory: str) -> list[float]:
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
        kind: CropLoader(
            samples,
            GREY,
            Augmenter(policy()),
            settings(crops_per_image=4 * cores, **{"processes": 0, kind: cores}),
            seed=1,
        )
        for kind in ("workers", "processes")
    }

    def feed_alone(feed: CropLoader, threads: int) -> list[float]:
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(feed.__getitem__, range(feed.num_batches)):
                pass
        seconds = time.perf_counter() - started
        feed.on_epoch_end()
        return [seconds / feed.num_crops]

    actions = {
        "albumentations on one core": lambda: call_apart("augment_alone", 5, "as usual"),
        "the same with memory kept": lambda: call_apart("augment_alone", 5, "kept"),
        "threads": lambda: feed_alone(feeds["workers"], cores),
        "processes": lambda: feed_alone(feeds["processes"], 2),  # as many as `CropLoader` asks for
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
