"""What the parts of the benchmark of training share: images, settings and networks."""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from turns import run_json

from unetflow.augmentation.policy import build_policy
from unetflow.config.augmentation import AugmentationParameters
from unetflow.config.training import PlannedTraining
from unetflow.core.parallel import count_cores
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample, SampleFolder, write_sample
from unetflow.models.device import has_gpu
from unetflow.models.unet import build_unet
from unetflow.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS
from unetflow.training.callbacks import TrainingListeners
from unetflow.training.machine import choose_precision

CONFIGURATION = Path(__file__).parents[1] / "conf"
CROP = 256
GREY = IntensityRange(low=[0.0], high=[255.0])
SILENT = TrainingListeners(lambda epoch, scores: None, lambda batch: None)


def policy() -> list[dict[str, Any]]:
    """Return the augmentation policy of the configuration."""
    loader = CONFIG_LOADER_CLASS(str(CONFIGURATION), env="base", **CONFIG_LOADER_ARGS)
    return build_policy(AugmentationParameters(**loader["parameters"]["augmentation"]))


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


def settings(**changes: Any) -> PlannedTraining:
    """Return settings of one epoch."""
    plain = {
        "epochs": 1,
        "crop_size": CROP,
        "crops_per_image": 1,
        "batch_size": 4,
        "tile": CROP,
        "schedule": "constant",
        "warmup_fraction": 0.0,
        "patience": 10,
        "workers": 2,
        "processes": count_cores() if has_gpu() else 0,
        "precision": choose_precision("auto", 16),
    }
    return PlannedTraining(**plain | changes)


def call_apart(function: str, *arguments: Any) -> Any:
    """Call a function of `training.APART` in a process of its own."""
    program = str(Path(__file__).with_name("training.py"))
    return run_json([sys.executable, program, "--call", json.dumps([function, *arguments])])
