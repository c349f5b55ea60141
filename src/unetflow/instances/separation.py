"""Separation of touching objects by what a network has learned about them."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import scipy
import skimage as ski
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from unetflow.core.types import ObjectOutput
from unetflow.instances.prominence import find_prominent_maxima
from unetflow.instances.watershed import PartRule, Terrain, flood_large_parts

_CORNERS = 2
"""The connectivity of pieces and of floods, as a value of scikit-image."""
_SMOOTHING = 0.25
"""Standard deviation of the Gaussian that smooths a landscape, in minimal distances of seeds."""


class Separation(BaseModel):
    """How the outputs of a network become seeds, one for each object.

    Attributes:
        seed_threshold: Smallest height of a seed in the landscape of `seed_landscape`.
        min_distance: Smallest distance of two seeds in pixels, along rows or columns.
        prominence: How far the landscape must fall between a seed and a higher one; see
            `prominence.find_prominent_maxima`. Unlike a distance it suits small and large objects
            alike. 0 asks for nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed_threshold: Annotated[float, Field(ge=0, le=1)]
    min_distance: Annotated[int, Field(ge=1)]
    prominence: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def smoothing(self) -> float:
        """Standard deviation of the Gaussian that smooths a landscape, in pixels."""
        return _SMOOTHING * self.min_distance


def seed_landscape(
    outputs: NDArray[np.float32], names: Sequence[ObjectOutput]
) -> NDArray[np.float32]:
    """Return the landscape in which each object is a hill: distance times (1 - boundary).

    Args:
        outputs: `(height, width, outputs)`, from 0 to 1; see `core.types.OBJECT_OUTPUTS`.
        names: Names of the outputs. A missing one leaves its factor out.

    Returns:
        `(height, width)`, from 0 to 1.
    """
    landscape = np.ones(outputs.shape[:2], np.float32)
    for number, name in enumerate(names):
        output = outputs[:, :, number]
        landscape *= 1 - output if name == "boundary" else output
    return landscape


def separate_objects(
    mask: NDArray[np.bool_],
    landscape: NDArray[np.float32],
    separation: Separation,
    min_size: int = 0,
) -> NDArray[np.int32]:
    """Separate the objects of a mask by a watershed that is flooded from one seed for each.

    Seeds are the maxima of the smoothed landscape. A piece of the mask without a seed stays one
    object. Parts of a piece that are smaller than `min_size` join their neighbours: their seeds are
    taken away, and the piece is flooded again. So the objects cover the mask.

    Args:
        mask: `(height, width)`, the foreground.
        landscape: `(height, width)`, see `seed_landscape`.
        separation: How seeds are found.
        min_size: Smallest part of a piece in pixels.

    Returns:
        `(height, width)`: the number of each pixel's object from 1 on, 0 where there is none.
    """
    return flood_large_parts(_find_terrain(mask, landscape, separation), min_size)[0]


def learned_part_rule(separation: Separation, min_size: int = 0) -> PartRule:
    """Return the rule of `separate_objects`, for parts of an image."""

    def find(mask: NDArray[np.bool_], landscape: NDArray[np.float32] | None) -> Terrain:
        assert landscape is not None  # noqa: S101 - else the rule is another one
        return _find_terrain(mask, landscape, separation)

    # The Gaussian ends after four standard deviations, a window for maxima before the distance.
    return PartRule(find, _CORNERS, 2 * separation.min_distance, min_size, needs_landscape=True)


def _find_terrain(
    mask: NDArray[np.bool_], landscape: NDArray[np.float32], separation: Separation
) -> Terrain:
    """Return the smoothed landscape with the seeds in it."""
    pieces = np.asarray(ski.measure.label(mask, connectivity=_CORNERS), np.int32)
    hills = scipy.ndimage.gaussian_filter(np.where(mask, landscape, 0), separation.smoothing)
    return Terrain(pieces, hills, _find_seeds(hills, mask, separation), _CORNERS)


def _find_seeds(
    hills: NDArray[np.float32], mask: NDArray[np.bool_], separation: Separation
) -> NDArray[np.intp]:
    """Return the places `(seeds, 2)` of maxima, the highest first, none too close to a higher one.

    Of equally high maxima that are too close, the first one row by row stays. The highest maximum
    of a piece is always prominent, and what is outside the piece does not matter.
    """
    reach = separation.min_distance
    highest = scipy.ndimage.maximum_filter(hills, 2 * reach - 1, mode="nearest")
    is_maximum = mask & (hills == highest) & (hills >= np.float32(separation.seed_threshold))
    if separation.prominence:
        is_maximum &= find_prominent_maxima(hills, mask, separation.prominence)
    places = np.argwhere(is_maximum)
    places = places[np.argsort(-hills[tuple(places.T)], kind="stable")]
    taken = np.zeros(mask.shape, bool)
    seeds = []
    for row, column in places.tolist():  # only equally high maxima can be closer than the reach
        if not taken[row, column]:
            seeds.append((row, column))
            top, left = max(row - reach + 1, 0), max(column - reach + 1, 0)
            taken[top : row + reach, left : column + reach] = True
    return np.array(seeds, np.intp).reshape(-1, 2)
