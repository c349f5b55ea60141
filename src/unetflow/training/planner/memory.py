"""Peak memory of a training, computed from the sizes of the network's layers.

The model is for TensorFlow on a CPU, where a tensor is freed as soon as it is not needed any more.
It is the larger of two sums: the backward pass of a training step, and the prediction of a
validation image. The constants for process, graph and unrolled inputs were fitted to measured peaks
by least squares; `benchmarks/planning.py` compares predictions with measurements.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from unetflow.config.training import TrainingParameters
from unetflow.core.geometry import unet_geometry
from unetflow.tiling.windows import plan_windows
from unetflow.training.planner.architecture import Architecture, count_parameters, list_convolutions

_FLOAT = 4
"""Bytes of a float32."""

_PROCESS = 770e6
"""Bytes of Python with TensorFlow, Keras, Kedro, MLflow and albumentations imported."""

_GRAPH = 185e6
"""Bytes of the compiled training step and prediction, of threads, and unused between tensors."""

_UNROLLED_INPUTS = 1.75
"""Unrolled inputs at a time. TensorFlow's gradients of a convolution write the 9 pixels under the
kernel side by side; those for input and kernel run in parallel, not always at the same layer."""

_PREDICTION_MAPS = 4
"""Feature maps of the largest size while the last level concatenates them: the one from below, the
skip, and both concatenated."""

_LASTING_COPIES = 3
"""Copies of the weights: themselves, their gradients, and the best ones so far."""

_SLOTS = {"sgd": 1, "adam": 2, "adamw": 2}
"""Copies in an optimiser: the momentum, and for Adam also the mean square."""

QUEUE_LENGTH = 8
"""Batches that `training.data_loader` keeps ready."""

_BATCHES_UNDER_WAY = 2
"""Batches that two threads are preparing."""

_LOSS_MAPS = 6
"""Maps of the image's size with the output's channels, for the scores of a validation image."""

_KEPT_BY_LOSS = {"cldice": 84, "lovasz": 7}
"""Maps of the output's size that a loss keeps for the backward pass: `cldice` those of each step of
thinning, `lovasz` the sorted errors."""

_KEPT_BY_ANY_LOSS = 2
"""Those of every loss: truth and prediction."""


@dataclass(frozen=True)
class Validation:
    """Sizes of a validation pass.

    Attributes:
        height: Of the largest image in pixels.
        width: Likewise.
        tile: Longest edge of a window in pixels.
        batch_size: Windows that are predicted at a time.
    """

    height: int
    width: int
    tile: int
    batch_size: int = 1


def predict_memory(
    architecture: Architecture,
    *,
    crop: int,
    batch: int,
    validation: Validation,
    training: TrainingParameters,
) -> int:
    """Predict the peak resident memory, in bytes, of a process that calls `training.fit.fit`.

    Args:
        architecture: Of the U-Net.
        crop: Edge of a training crop in pixels.
        batch: Crops in a batch.
        validation: What is predicted after an epoch.
        training: The optimiser, the loss, and whether the weights are averaged.
    """
    lasting = _PROCESS + _GRAPH + _weight_bytes(architecture, training)
    passing = max(
        _step_bytes(architecture, crop, batch)
        + _loss_bytes(architecture, crop, batch, training.loss),
        _validation_bytes(architecture, validation),
    )
    return round(lasting + passing)


def _weight_bytes(architecture: Architecture, training: TrainingParameters) -> int:
    copies = _LASTING_COPIES + _SLOTS[training.optimiser] + (training.ema_momentum > 0)
    return copies * _FLOAT * count_parameters(architecture)


def _step_bytes(architecture: Architecture, crop: int, batch: int) -> float:
    convolutions = list_convolutions(architecture, crop, crop)
    blocks = [c for c in convolutions if c.kind == "block"]
    # Kept for the backward pass: the ReLU's result, and the normalisation's input.
    for_each_block = 1 if architecture.normalisation == "none" else 2
    kept = for_each_block * sum(c.map_size for c in blocks)
    # Likewise pooled and concatenated maps, as inputs of the next convolution.
    kept += sum(c.map_size for c in blocks[1 : 2 * architecture.depth : 2]) // 4
    kept += sum(2 * c.map_size for c in convolutions if c.kind == "up")
    unrolled = max(9 * c.inputs * c.height * c.width for c in blocks)
    label = 1
    bytes_of_crop = crop**2 * (_FLOAT * architecture.channels + label)
    waiting = QUEUE_LENGTH + _BATCHES_UNDER_WAY
    return batch * (_FLOAT * kept + waiting * bytes_of_crop) + _UNROLLED_INPUTS * _FLOAT * unrolled


def _loss_bytes(architecture: Architecture, crop: int, batch: int, loss: Iterable[str]) -> float:
    head = list_convolutions(architecture, crop, crop)[-1]
    kept = _KEPT_BY_ANY_LOSS + sum(_KEPT_BY_LOSS.get(name, 0) for name in loss)
    outputs = 1 + architecture.deep_supervision
    return batch * _FLOAT * kept * outputs * head.map_size


def _validation_bytes(architecture: Architecture, validation: Validation) -> int:
    geometry = unet_geometry(architecture.depth, architecture.padding)
    rows = plan_windows(validation.height, geometry, validation.tile)
    columns = plan_windows(validation.width, geometry, validation.tile)
    height, width = rows[0].stop - rows[0].start, columns[0].stop - columns[0].start
    windows = min(validation.batch_size, len(rows) * len(columns))
    largest = max(c.map_size for c in list_convolutions(architecture, height, width))
    # The image as float32, without and with its mirrored border.
    image = 2 * architecture.channels + _LOSS_MAPS * architecture.classes
    pixels = validation.height * validation.width
    return _FLOAT * (_PREDICTION_MAPS * windows * largest + pixels * image)
