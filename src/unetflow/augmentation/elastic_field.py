"""Elastic deformation by a smooth random field of displacements.

As in Simard, Steinkraus and Platt 2003 ("Best practices for convolutional neural networks"),
section 2: random displacements of all pixels, smoothed by a Gaussian. The field is drawn and
smoothed on a coarse grid and interpolated, ten times as fast as at every pixel.

This module imports albumentations, which takes seconds; import it where it is used.
"""

import math
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from unetflow.augmentation.albumentations_offline import BaseTransformInitSchema
from unetflow.augmentation.elastic_grid import Bending

_NODES_FOR_SMOOTHNESS = 2
"""Nodes of the coarse grid within one standard deviation of the Gaussian."""

_REACH = 4
"""Standard deviations at which the Gaussian is cut off."""


class ElasticField(Bending):
    """Bends an image, and its masks alike, by a smooth random field.

    Args:
        displacement: Standard deviation of each component of a pixel's displacement, in pixels.
        smoothness: Standard deviation of the Gaussian that smooths the field, in pixels.
        p: Probability of the deformation.
    """

    class InitSchema(BaseTransformInitSchema):
        """Checks the arguments."""

        displacement: Annotated[float, Field(ge=0, allow_inf_nan=False)]
        smoothness: Annotated[float, Field(ge=1, allow_inf_nan=False)]

    def __init__(self, displacement: float = 0.5, smoothness: float = 8.0, p: float = 0.5) -> None:
        super().__init__(p)
        self.displacement = displacement
        self.smoothness = smoothness

    def draw_displacements(self, height: int, width: int) -> NDArray[np.floating]:
        """Draw the displacements down and to the right, `(2, height, width)`."""
        field = draw_smooth_field(self.random_generator, height, width, self.smoothness)
        return self.displacement * field


def draw_smooth_field(
    random: np.random.Generator, height: int, width: int, smoothness: float
) -> NDArray[np.float32]:
    """Draw two independent Gaussian fields with a standard deviation of 1.

    Values at a distance of d pixels have a correlation of exp(-d^2 / (4 smoothness^2)), as white
    noise has that a Gaussian has smoothed.

    Args:
        random: Where they come from.
        height: In pixels.
        width: Likewise.
        smoothness: Standard deviation of the Gaussian in pixels, 1 or more.

    Returns:
        `(2, height, width)` float32.
    """
    spacing = max(int(smoothness / _NODES_FOR_SMOOTHNESS), 1)
    deviation = smoothness / spacing
    reach = math.ceil(_REACH * deviation)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    kernel /= np.sqrt(np.sum(kernel**2))  # so that the smoothed noise keeps its deviation of 1
    shape = [-(-edge // spacing) + 1 for edge in (height, width)]
    noise = random.standard_normal((2, *(n + 2 * reach for n in shape)), dtype=np.float32)
    return np.stack([_smooth(part, kernel, reach, spacing, (height, width)) for part in noise])


def _smooth(
    noise: NDArray[np.float32],
    kernel: NDArray[np.float64],
    reach: int,
    spacing: int,
    shape: tuple[int, int],
) -> NDArray[Any]:
    """Smooth noise on the nodes, leave out what the border has changed, and interpolate."""
    nodes = cv2.sepFilter2D(noise, -1, kernel, kernel)[reach:-reach, reach:-reach]
    rows, columns = nodes.shape
    enlarged = cv2.resize(nodes, (columns * spacing, rows * spacing), interpolation=cv2.INTER_CUBIC)
    return enlarged[: shape[0], : shape[1]]
