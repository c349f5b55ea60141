"""How much memory a training takes, worked out from the sizes of the network's layers.

The model is for TensorFlow on a CPU, where a tensor is freed as soon as nothing needs it any more.
It adds up what must be there at the same time, and takes the larger of two moments: the backward
pass of a training step, and the prediction of a validation image.

The sizes follow from the architecture. What cannot be derived, since it lies within TensorFlow and
oneDNN, are the few coefficients below; `benchmarks/planning.py` compares the predictions with
measured peaks, from which the coefficients were found by least squares.
"""

from dataclasses import dataclass

from unetflow.imaging.planning.architecture import (
    Architecture,
    count_parameters,
    list_convolutions,
)
from unetflow.imaging.tiling import plan_windows, unet_geometry

_FLOAT = 4
"""Bytes of a float32."""

_PROCESS = 740e6
"""Bytes of Python with TensorFlow, Keras, Kedro, MLflow and albumentations once imported."""

_GRAPH = 140e6
"""Bytes of the compiled training step and prediction, their threads and their code."""

_KEPT_MAPS = {"none": 1.0, "batch": 2.0, "group": 3.0, "instance": 3.0}
"""Feature maps that a convolution, its normalisation and its ReLU keep for the backward pass."""

_PASSING_MAPS = 10.0
"""Feature maps of the largest size that the backward pass holds for a moment: gradients, and the
copies in oneDNN's own layout of what a convolution reads and writes."""

_PREDICTION_MAPS = 6.0
"""Feature maps of the largest size that prediction holds while the last level is joined."""

_PARAMETER_COPIES = 4.0
_SLOTS = {"sgd": 1, "adam": 2, "adamw": 2}

_QUEUED_BATCHES = 10
"""The feed's queue of 8 batches (see `unet.feed`) and those that two threads prepare."""


@dataclass(frozen=True)
class Validation:
    """What the memory of a validation pass depends on, apart from the network.

    Attributes:
        height: Of the largest image in pixels.
        width: Likewise.
        tile: Longest edge of a window in pixels.
        batch_size: Windows that are predicted at a time.
    """

    height: int
    width: int
    tile: int
    batch_size: int = 4


def predict_memory(
    architecture: Architecture,
    *,
    crop_size: int,
    batch_size: int,
    optimiser: str,
    validation: Validation,
    averaged: bool = False,
) -> int:
    """Predict the peak resident memory of a process that calls `unet.fit.fit`.

    Args:
        architecture: Of the U-Net.
        crop_size: Edge of a training crop in pixels.
        batch_size: Crops in a batch.
        optimiser: "adam", "adamw" or "sgd".
        validation: What is predicted after an epoch.
        averaged: Whether a running average of the weights is kept.

    Returns:
        Bytes.
    """
    lasting = _PROCESS + _GRAPH + _weight_bytes(architecture, optimiser, averaged)
    passing = max(
        _step_bytes(architecture, crop_size, batch_size),
        _validation_bytes(architecture, validation),
    )
    return round(lasting + passing)


def _weight_bytes(architecture: Architecture, optimiser: str, averaged: bool) -> float:
    copies = _PARAMETER_COPIES + _SLOTS[optimiser] + averaged
    return copies * _FLOAT * count_parameters(architecture)


def _step_bytes(architecture: Architecture, crop_size: int, batch_size: int) -> float:
    convolutions = list_convolutions(architecture, crop_size, crop_size)
    blocks = [c.map_size for c in convolutions if c.kind == "block"]
    # Pooled maps and joined ones are kept too, as inputs of the convolution that follows.
    pooled = sum(blocks[1 : 2 * architecture.depth : 2]) / 4
    joined = sum(2 * c.map_size for c in convolutions if c.kind == "up")
    kept = _KEPT_MAPS[architecture.normalisation] * sum(blocks) + pooled + joined
    maps = (kept + _PASSING_MAPS * max(blocks)) * _FLOAT
    label = 1
    crop = crop_size**2 * (_FLOAT * architecture.channels + label)
    return batch_size * (maps + _QUEUED_BATCHES * crop)


def _validation_bytes(architecture: Architecture, validation: Validation) -> float:
    geometry = unet_geometry(architecture.depth, architecture.padding)
    rows = plan_windows(validation.height, geometry, validation.tile)
    columns = plan_windows(validation.width, geometry, validation.tile)
    height, width = rows[0].stop - rows[0].start, columns[0].stop - columns[0].start
    windows = min(validation.batch_size, len(rows) * len(columns))
    largest = max(c.map_size for c in list_convolutions(architecture, height, width))
    maps = _PREDICTION_MAPS * windows * largest * _FLOAT
    # The image as float32, the same with its mirrored border, and some maps of the loss.
    image = validation.height * validation.width * _FLOAT
    return maps + image * (2 * architecture.channels + 6 * architecture.classes)
