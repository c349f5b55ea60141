"""How long a training step and a validation pass take.

Wide networks reach far more multiply-adds a second than narrow ones, whose time goes to moving
numbers to and from memory. So the time is reckoned as the sum of both.
"""

from dataclasses import dataclass

from unetflow.core.geometry import unet_geometry
from unetflow.tiling.windows import plan_windows
from unetflow.training.planner.architecture import Architecture, count_parameters, list_convolutions

_PASSES = 3
"""A training step computes about three times as much as the forward pass: the gradient of each
convolution for its input and that for its kernel cost one forward pass each."""


@dataclass(frozen=True)
class Work:
    """What a machine has to do for one step or one image.

    Attributes:
        multiply_adds: In the convolutions.
        values: Numbers that are made and read again: those of the feature maps, each of which is
            also normalised, rectified and copied, and the weights that the optimiser changes.
    """

    multiply_adds: float
    values: float

    def times(self, factor: float) -> "Work":
        """Return the work of so many of these."""
        return Work(factor * self.multiply_adds, factor * self.values)


@dataclass(frozen=True)
class Speed:
    """What a machine reaches; `training.speed.measure_speed` measures it.

    Attributes:
        multiply_adds: For each second, if nothing else took time.
        values: Likewise.
    """

    multiply_adds: float
    values: float

    def seconds(self, work: Work) -> float:
        """Return how long this takes."""
        return work.multiply_adds / self.multiply_adds + work.values / self.values


def forward_work(architecture: Architecture, height: int, width: int) -> Work:
    """Count the work of one image's forward pass.

    Args:
        architecture: Of the U-Net.
        height: Of the input in pixels; it must fit the network.
        width: Likewise.

    Returns:
        The multiply-adds are exact, where a same convolution counts the zeros at the border too;
        those of biases and normalisation, a few per cent more, are left out.
    """
    convolutions = list_convolutions(architecture, height, width)
    return Work(sum(c.multiply_adds for c in convolutions), sum(c.map_size for c in convolutions))


def step_work(architecture: Architecture, crop: int, batch: int) -> Work:
    """Count the work of one training step: three times that of the forward passes, and weights.

    Args:
        architecture: Of the U-Net.
        crop: Edge of a training crop in pixels.
        batch: Crops in a batch.
    """
    passes = forward_work(architecture, crop, crop).times(_PASSES * batch)
    return Work(passes.multiply_adds, passes.values + count_parameters(architecture))


def prediction_work(architecture: Architecture, height: int, width: int, tile: int) -> Work:
    """Count the work of predicting one image in windows, overlaps included.

    Args:
        architecture: Of the U-Net.
        height: Of the image in pixels.
        width: Likewise.
        tile: Longest edge of a window in pixels.
    """
    geometry = unet_geometry(architecture.depth, architecture.padding)
    rows = plan_windows(height, geometry, tile)
    columns = plan_windows(width, geometry, tile)
    window = forward_work(
        architecture, rows[0].stop - rows[0].start, columns[0].stop - columns[0].start
    )
    return window.times(len(rows) * len(columns))
