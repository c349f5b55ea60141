"""What the planner counts, against the layers of the real network."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras import layers

from tests.support.networks import fit_settings
from unetflow.models.unet import build_unet
from unetflow.training.planner.network_cost import (
    Architecture,
    count_parameters,
    forward_work,
    predict_memory,
)

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "planning.py"

NETWORKS = [
    (Architecture(3, 4, 1), 32, 48),
    (Architecture(1, 6, 3, classes=4, normalisation="group"), 64, 40),
    (Architecture(2, 5, 2, normalisation="none", padding="valid"), 92, 76),
    (Architecture(3, 4, 4, classes=3, normalisation="instance"), 32, 64),
    (Architecture(1, 8, 4, padding="valid"), 188, 204),
]


def _build(architecture, height, width):
    return build_unet(
        (height, width, architecture.channels),
        base_filters=architecture.base_filters,
        depth=architecture.depth,
        classes=architecture.classes,
        normalisation=architecture.normalisation,
        padding=architecture.padding,
    )


def _multiply_adds(layer):
    """Count in a layer what each number of the kernel is multiplied with."""
    if isinstance(layer, layers.Conv2DTranspose):  # each input pixel meets the whole kernel
        pixels = layer.input.shape[1:3]
    elif isinstance(layer, layers.Conv2D):  # each output pixel does
        pixels = layer.output.shape[1:3]
    else:
        return 0
    return int(np.prod(pixels) * np.prod(layer.kernel.shape))


@pytest.mark.parametrize(("architecture", "height", "width"), NETWORKS)
def test_parameters_and_work_are_those_of_the_real_network(architecture, height, width):
    network = _build(architecture, height, width)
    assert count_parameters(architecture) == network.count_params()
    work = forward_work(architecture, height, width)
    assert work.multiply_adds == sum(map(_multiply_adds, network.layers))
    convolutions = (x for x in network.layers if isinstance(x, layers.Conv2D))
    upward = (x for x in network.layers if isinstance(x, layers.Conv2DTranspose))
    outputs = {x.name: np.prod(x.output.shape[1:]) for x in (*convolutions, *upward)}
    assert work.values == sum(outputs.values())


def test_the_full_network_has_as_many_parameters_as_it_promises():
    assert count_parameters(Architecture(channels=3, base_filters=64, depth=4)) == 31_055_297


@pytest.mark.process
def test_the_predicted_memory_is_within_a_fifth_of_a_measured_one():
    case = {"base_filters": 24, "depth": 1, "crop_size": 192, "batch_size": 4}
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--case", json.dumps(case)],
        check=True,
        capture_output=True,
        text=True,
    )
    measured = int(done.stdout.splitlines()[-1])
    predicted = predict_memory(
        Architecture(channels=3, base_filters=24, depth=1),
        crop=192,
        batch=4,
        training=fit_settings(),
        image=(128, 128),
        tile=512,
    )
    assert predicted == pytest.approx(measured, rel=0.2)
