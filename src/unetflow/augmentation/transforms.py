"""Albumentations without its version check, which asks the network, and our elastic transforms.

The import takes seconds, so import this module only where it is needed.
"""

import math
import os
from typing import Annotated, Any

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

_SKIP_CHECK = "NO_ALBUMENTATIONS_UPDATE"
_before = os.environ.get(_SKIP_CHECK)
os.environ[_SKIP_CHECK] = "1"
try:
    import albumentations
    from albumentations import Compose
    from albumentations.augmentations.geometric.distortion import BaseDistortion
    from albumentations.core.transforms_interface import BaseTransformInitSchema
finally:
    del os.environ[_SKIP_CHECK]
    if _before is not None:
        os.environ[_SKIP_CHECK] = _before

__all__ = ["Compose", "ElasticField", "ElasticGrid", "albumentations"]

_NEAREST, _BILINEAR, _MIRRORED = 0, 1, 4  # OpenCV's numbers; mirroring does not double the border
_NODES_FOR_SMOOTHNESS = 2
"""Nodes of the coarse grid within one standard deviation of the Gaussian."""
_REACH = 4
"""Standard deviations at which the Gaussian is cut off."""


class _Bending(BaseDistortion):
    """Displaces the pixels of an image (bilinearly) and its masks; the border is mirrored."""

    def __init__(self, p: float) -> None:
        super().__init__(
            interpolation=_BILINEAR,
            mask_interpolation=_NEAREST,
            keypoint_remapping_method="mask",
            p=p,
            border_mode=_MIRRORED,
        )

    def draw_displacements(self, height: int, width: int) -> NDArray[np.floating]:
        """Draw the displacements down and to the right in pixels, `(2, height, width)`."""
        raise NotImplementedError

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Return where each pixel comes from, two float32 maps."""
        height, width = params["shape"][:2]
        down, right = self.draw_displacements(height, width)
        return {
            "map_x": (right + np.arange(width)).astype(np.float32),
            "map_y": (down + np.arange(height)[:, np.newaxis]).astype(np.float32),
        }


class ElasticGrid(_Bending):
    """Bends an image, and its masks alike, by a smooth field of displacements.

    As in Ronneberger, Fischer and Brox 2015 (arXiv 1505.04597), section 3.1: each node of a coarse
    grid gets a displacement from a Gaussian, and bicubic interpolation gives that of each pixel.

    Args:
        standard_deviation: Of each component of a node's displacement, in pixels.
        nodes: Nodes along each edge; the outer ones lie on the centres of the corner pixels.
        p: Probability of the deformation.
    """

    class InitSchema(BaseTransformInitSchema):
        """Checks the arguments."""

        standard_deviation: Annotated[float, Field(ge=0, allow_inf_nan=False)]
        nodes: Annotated[int, Field(ge=2)]

    def __init__(self, standard_deviation: float = 10.0, nodes: int = 3, p: float = 0.5) -> None:
        super().__init__(p)
        self.standard_deviation = standard_deviation
        self.nodes = nodes

    def draw_displacements(self, height: int, width: int) -> NDArray[np.floating]:
        """Draw the nodes' displacements and interpolate between them."""
        shape = (2, self.nodes, self.nodes)
        vectors = self.random_generator.normal(0, self.standard_deviation, shape)
        return interpolate_displacements(vectors, height, width)


class ElasticField(_Bending):
    """Bends an image, and its masks alike, by a smooth random field.

    As in Simard, Steinkraus and Platt 2003 ("Best practices for convolutional neural networks"),
    section 2: random displacements of all pixels, smoothed by a Gaussian. The field is drawn and
    smoothed on a coarse grid and interpolated, ten times as fast as at every pixel.

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


def interpolate_displacements(
    vectors: NDArray[np.floating], height: int, width: int
) -> NDArray[np.float64]:
    """Interpolate between the nodes of a grid over an image by bicubic splines.

    Their slope across the border is 0, so that the mirrored field has no kink. Vectors are
    `(components, rows, columns)`, two rows and columns or more; the outer nodes lie on the centres
    of the image's corner pixels.
    """
    _, rows, columns = vectors.shape
    down, right = _spline_weights(rows, height), _spline_weights(columns, width)
    return np.asarray(down @ vectors @ right.T)


def _spline_weights(nodes: int, pixels: int) -> NDArray[np.float64]:
    """Return `(pixels, nodes)`: how much each node counts at each pixel."""
    # A spline is linear in its nodes' values: those with a single 1 give the weights.
    splines = scipy.interpolate.CubicSpline(np.arange(nodes), np.eye(nodes), bc_type="clamped")
    return np.asarray(splines(np.linspace(0, nodes - 1, pixels)))


def draw_smooth_field(
    random: np.random.Generator, height: int, width: int, smoothness: float
) -> NDArray[np.float32]:
    """Draw two independent Gaussian fields with a standard deviation of 1.

    Values at a distance of d pixels have a correlation of exp(-d^2 / (4 smoothness^2)), as white
    noise has that a Gaussian of the standard deviation `smoothness`, 1 or more, has smoothed.
    """
    spacing = max(int(smoothness / _NODES_FOR_SMOOTHNESS), 1)
    deviation = smoothness / spacing
    reach = math.ceil(_REACH * deviation)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    kernel /= np.sqrt(np.sum(kernel**2))  # so that the smoothed noise keeps its deviation of 1
    shape = [-(-edge // spacing) + 1 for edge in (height, width)]
    noise = random.standard_normal((2, *(n + 2 * reach for n in shape)), dtype=np.float32)
    enlarged: list[NDArray[Any]] = []
    for part in noise:
        smooth = cv2.sepFilter2D(part, -1, kernel, kernel)
        nodes = smooth[reach:-reach, reach:-reach]  # without what the border has changed
        size = (nodes.shape[1] * spacing, nodes.shape[0] * spacing)
        enlarged.append(cv2.resize(nodes, size, interpolation=cv2.INTER_CUBIC))
    return np.stack(enlarged)[:, :height, :width]
