"""Work, time and memory of a training, computed from the sizes of the network's layers.

The planner compares many networks, each of which would take Keras seconds to build. Tests hold
these numbers and those of `models.unet.build_unet` together.

Wide networks reach far more multiply-adds per second than narrow ones, which spend their time on
memory traffic. So the time is modelled as the sum of both.

The memory is for TensorFlow on a CPU, where a tensor is freed as soon as it is not needed any more.
It is the larger of two sums: the backward pass of a training step, and the prediction of a
validation image. The constants for process, graph and unrolled inputs were fitted to measured peaks
by least squares; `benchmarks/planning.py` compares predictions with measurements.
"""

from dataclasses import dataclass

from unetflow.config.training import TrainingParameters
from unetflow.core.geometry import unet_geometry
from unetflow.tiling.windows import plan_windows

QUEUE_LENGTH = 8
"""Batches that `training.data_loader` keeps ready."""

_KERNEL_AREA = {"block": 9, "up": 4, "head": 1}

_PASSES = 3
"""A training step costs about three forward passes: each convolution has two gradients."""

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
class Architecture:
    """The arguments of `models.unet.build_unet` that sizes depend on; `channels` of the image."""

    channels: int
    base_filters: int
    depth: int
    classes: int = 1
    normalisation: str = "batch"
    padding: str = "same"
    deep_supervision: int = 0


@dataclass(frozen=True)
class Convolution:
    """One convolution of a U-Net: its channels, and height and width of its output in pixels.

    Its kind is "block" (3x3, followed by normalisation and ReLU), "up" (2x2, transposed, stride 2)
    or "head" (1x1).
    """

    kind: str
    inputs: int
    outputs: int
    height: int
    width: int

    @property
    def map_size(self) -> int:
        """Number of values in its output for one image."""
        return self.outputs * self.height * self.width

    @property
    def weights(self) -> int:
        """Number of values in its kernel and its bias."""
        return (_KERNEL_AREA[self.kind] * self.inputs + 1) * self.outputs

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one image; with stride 2 a pixel meets one of the 4 kernel values."""
        area = 1 if self.kind == "up" else _KERNEL_AREA[self.kind]
        return area * self.inputs * self.map_size


@dataclass(frozen=True)
class Work:
    """The work of one step or one image: multiply-adds in the convolutions, and memory traffic.

    `values` are written and read again: the feature maps, and the weights in a step.
    """

    multiply_adds: float
    values: float

    def times(self, factor: float) -> "Work":
        """Return a multiple of this work."""
        return Work(factor * self.multiply_adds, factor * self.values)


@dataclass(frozen=True)
class Speed:
    """Multiply-adds and values per second of a machine, each as if the other took no time."""

    multiply_adds: float
    values: float

    def seconds(self, work: Work) -> float:
        """Return the time of this work."""
        return work.multiply_adds / self.multiply_adds + work.values / self.values


def list_convolutions(architecture: Architecture, height: int, width: int) -> list[Convolution]:
    """List all convolutions in the order of computation, without those of deep supervision.

    Height and width are those of the input in pixels; they must fit the network.
    """
    found: list[Convolution] = []
    lost = 2 if architecture.padding == "valid" else 0

    def convolve_twice(inputs: int, outputs: int) -> None:
        nonlocal height, width
        for channels in (inputs, outputs):
            height, width = height - lost, width - lost
            found.append(Convolution("block", channels, outputs, height, width))

    inputs = architecture.channels
    filters = [architecture.base_filters * 2**level for level in range(architecture.depth + 1)]
    for outputs in filters[:-1]:
        convolve_twice(inputs, outputs)
        height, width, inputs = height // 2, width // 2, outputs
    convolve_twice(inputs, filters[-1])
    for outputs in reversed(filters[:-1]):
        height, width = 2 * height, 2 * width
        found.append(Convolution("up", 2 * outputs, outputs, height, width))
        convolve_twice(2 * outputs, outputs)
    found.append(Convolution("head", filters[0], architecture.classes, height, width))
    return found


def count_parameters(architecture: Architecture) -> int:
    """Return the number of parameters, non-trainable ones included."""
    edge = 2 ** (architecture.depth + 5)  # any fitting size gives the same number
    convolutions = list_convolutions(architecture, edge, edge)
    # Gamma and beta; for batch normalisation also moving mean and variance.
    per_filter = {"none": 0, "batch": 4}.get(architecture.normalisation, 2)
    normalised = sum(c.outputs for c in convolutions if c.kind == "block")
    return sum(c.weights for c in convolutions) + per_filter * normalised


def forward_work(architecture: Architecture, height: int, width: int) -> Work:
    """Count the work of one image's forward pass of a size in pixels that fits the network.

    Multiply-adds are exact, with the zeros at the border of same convolutions; those of biases and
    normalisation, a few per cent more, are left out.
    """
    convolutions = list_convolutions(architecture, height, width)
    return Work(sum(c.multiply_adds for c in convolutions), sum(c.map_size for c in convolutions))


def step_work(architecture: Architecture, crop: int, batch: int) -> Work:
    """Count the work of one training step of a batch of square crops."""
    passes = forward_work(architecture, crop, crop).times(_PASSES * batch)
    return Work(passes.multiply_adds, passes.values + count_parameters(architecture))


def prediction_work(architecture: Architecture, height: int, width: int, tile: int) -> Work:
    """Count the work of predicting one image in overlapping windows of a longest edge."""
    windows, *size = _divide(architecture, height, width, tile)
    return forward_work(architecture, *size).times(windows)


def predict_memory(
    architecture: Architecture,
    *,
    crop: int,
    batch: int,
    image: tuple[int, int],
    tile: int,
    training: TrainingParameters,
) -> int:
    """Predict the peak resident memory, in bytes, of a process that calls `training.fit.fit`.

    Args:
        architecture: Of the U-Net.
        crop: Edge of a training crop in pixels.
        batch: Crops in a batch.
        image: Height and width of the largest validation image in pixels.
        tile: Longest edge of a window of it in pixels.
        training: The optimiser, the loss, and whether the weights are averaged.
    """
    copies = _LASTING_COPIES + _SLOTS[training.optimiser] + (training.ema_momentum > 0)
    weights = copies * _FLOAT * count_parameters(architecture)
    kept_by_loss = _KEPT_BY_ANY_LOSS + sum(
        _KEPT_BY_LOSS.get(name, 0) for name in training.loss or {}
    )
    step = _step_bytes(architecture, crop, batch, kept_by_loss)
    return round(_PROCESS + _GRAPH + weights + max(step, _image_bytes(architecture, *image, tile)))


def _step_bytes(architecture: Architecture, crop: int, batch: int, kept_by_loss: int) -> float:
    convolutions = list_convolutions(architecture, crop, crop)
    blocks = [c for c in convolutions if c.kind == "block"]
    # Kept for the backward pass: the ReLU's result, and the normalisation's input.
    for_each_block = 1 if architecture.normalisation == "none" else 2
    kept = for_each_block * sum(c.map_size for c in blocks)
    # Likewise pooled and concatenated maps, as inputs of the next convolution.
    kept += sum(c.map_size for c in blocks[1 : 2 * architecture.depth : 2]) // 4
    kept += sum(2 * c.map_size for c in convolutions if c.kind == "up")
    kept += kept_by_loss * (1 + architecture.deep_supervision) * convolutions[-1].map_size
    unrolled = max(9 * c.inputs * c.height * c.width for c in blocks)
    label = 1
    bytes_of_crop = crop**2 * (_FLOAT * architecture.channels + label)
    waiting = QUEUE_LENGTH + _BATCHES_UNDER_WAY
    return batch * (_FLOAT * kept + waiting * bytes_of_crop) + _UNROLLED_INPUTS * _FLOAT * unrolled


def _image_bytes(architecture: Architecture, height: int, width: int, tile: int) -> int:
    """Return the bytes of the prediction of a validation image, one window at a time."""
    _, *size = _divide(architecture, height, width, tile)
    largest = max(c.map_size for c in list_convolutions(architecture, *size))
    # The image as float32, without and with its mirrored border.
    maps = 2 * architecture.channels + _LOSS_MAPS * architecture.classes
    return _FLOAT * (_PREDICTION_MAPS * largest + height * width * maps)


def _divide(architecture: Architecture, height: int, width: int, tile: int) -> tuple[int, int, int]:
    """Return the number of windows of an image, their height and their width."""
    geometry = unet_geometry(architecture.depth, architecture.padding)
    rows, columns = (plan_windows(edge, geometry, tile) for edge in (height, width))
    row, column = rows[0], columns[0]
    return len(rows) * len(columns), row.stop - row.start, column.stop - column.start
