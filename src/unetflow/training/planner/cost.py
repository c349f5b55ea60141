"""Time of a training step and of a validation pass.

Wide networks reach far more multiply-adds per second than narrow ones, which spend their time on
memory traffic. So the time is modelled as the sum of both.
"""

from dataclasses import dataclass

from unetflow.core.geometry import unet_geometry
from unetflow.tiling.windows import plan_windows
from unetflow.training.planner.architecture import Architecture, count_parameters, list_convolutions

_PASSES = 3
"""A training step costs about three forward passes: each convolution has two gradients."""


@dataclass(frozen=True)
class Work:
    """The work of one step or one image.

    Attributes:
        multiply_adds: In the convolutions.
        values: Numbers written and read again: the feature maps, and the weights in a step.
    """

    multiply_adds: float
    values: float

    def times(self, factor: float) -> "Work":
        """Return a multiple of this work."""
        return Work(factor * self.multiply_adds, factor * self.values)


@dataclass(frozen=True)
class Speed:
    """Speed of a machine; see `training.speed.measure_speed`.

    Attributes:
        multiply_adds: Per second, if nothing else took time.
        values: Likewise.
    """

    multiply_adds: float
    values: float

    def seconds(self, work: Work) -> float:
        """Return the time of this work."""
        return work.multiply_adds / self.multiply_adds + work.values / self.values


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
    geometry = unet_geometry(architecture.depth, architecture.padding)
    rows = plan_windows(height, geometry, tile)
    columns = plan_windows(width, geometry, tile)
    window = forward_work(
        architecture, rows[0].stop - rows[0].start, columns[0].stop - columns[0].start
    )
    return window.times(len(rows) * len(columns))
