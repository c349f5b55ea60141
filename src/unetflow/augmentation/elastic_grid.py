"""Elastic deformation of the U-Net paper: random displacements on a coarse grid.

This module imports albumentations, which takes seconds; import it where it is used.
"""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.interpolate import CubicSpline

from unetflow.augmentation.albumentations_offline import BaseDistortion, BaseTransformInitSchema

_NEAREST, _BILINEAR, _MIRRORED = 0, 1, 4  # OpenCV's numbers; mirroring does not double the border


class Bending(BaseDistortion):
    """Displaces the pixels of an image and its masks; the border is mirrored.

    Images are interpolated bilinearly, masks by nearest neighbour.

    Args:
        p: Probability of the deformation.
    """

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


class ElasticGrid(Bending):
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
        vectors = self.random_generator.normal(
            0, self.standard_deviation, (2, self.nodes, self.nodes)
        )
        return interpolate_displacements(vectors, height, width)


def interpolate_displacements(
    vectors: NDArray[np.floating], height: int, width: int
) -> NDArray[np.float64]:
    """Interpolate between the nodes of a grid over an image by bicubic splines.

    Their slope across the border is 0, so that the mirrored field has no kink.

    Args:
        vectors: `(components, rows, columns)` of the grid, two rows and columns or more; the outer
            nodes lie on the centres of the image's corner pixels.
        height: Of the image in pixels.
        width: Likewise.

    Returns:
        `(components, height, width)` float64.
    """
    _, rows, columns = vectors.shape
    field: NDArray[np.float64] = (
        _spline_weights(rows, height) @ vectors @ _spline_weights(columns, width).T
    )
    return field


def _spline_weights(nodes: int, pixels: int) -> NDArray[np.float64]:
    """Return `(pixels, nodes)`: how much each node counts at each pixel."""
    # A spline is linear in its nodes' values: those with a single 1 give the weights.
    splines = CubicSpline(np.arange(nodes), np.eye(nodes), bc_type="clamped")
    weights: NDArray[np.float64] = splines(np.linspace(0, nodes - 1, pixels))
    return weights
