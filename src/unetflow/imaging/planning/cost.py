"""How long a training step and a validation pass take."""

from dataclasses import dataclass

from unetflow.imaging.planning.architecture import Architecture, list_convolutions
from unetflow.imaging.tiling import plan_windows, unet_geometry

_PASSES = 3
"""A training step computes about three times as much as the forward pass: the gradient of each
convolution for its input and that for its kernel cost one forward pass each."""


@dataclass(frozen=True)
class Work:
    """What a machine has to do for one step or one image.

    Attributes:
        multiply_adds: In the convolutions.
        map_values: Numbers in the convolutions' outputs, each of which is also normalised,
            rectified, copied and read again, in time that depends on the memory's speed.
    """

    multiply_adds: float
    map_values: float

    def times(self, factor: float) -> "Work":
        """Return the work of so many of these."""
        return Work(factor * self.multiply_adds, factor * self.map_values)


@dataclass(frozen=True)
class Speed:
    """What a machine reaches; `unet.speed.measure_speed` measures it.

    Wide networks reach far more multiply-adds a second than narrow ones, whose time goes to moving
    feature maps; so the time of both is added up.

    Attributes:
        multiply_adds: For each second.
        map_values: For each second.
    """

    multiply_adds: float
    map_values: float

    def seconds(self, work: Work) -> float:
        """Return how long this takes."""
        return work.multiply_adds / self.multiply_adds + work.map_values / self.map_values


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


def step_work(architecture: Architecture, crop_size: int, batch_size: int) -> Work:
    """Count the work of one training step: three times that of the forward passes.

    Args:
        architecture: Of the U-Net.
        crop_size: Edge of a training crop in pixels.
        batch_size: Crops in a batch.
    """
    return forward_work(architecture, crop_size, crop_size).times(_PASSES * batch_size)


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
