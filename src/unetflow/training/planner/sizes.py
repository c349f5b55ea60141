"""Depths and crops that suit the images."""

from collections.abc import Iterator

from unetflow.config.training import refuse_crop
from unetflow.core.geometry import unet_geometry
from unetflow.training.planner.architecture import Architecture, list_convolutions
from unetflow.training.planner.task import Task

LARGEST_CROP = 256
DEEPEST = 4
LEAST_DEEP_EDGE = 8
"""In pixels: in smaller feature maps, a 3x3 kernel sees mostly border."""


def deepest_edge(depth: int, padding: str, crop: int) -> int:
    """Return the edge in pixels of the smallest feature map; not above 0 where there is none."""
    convolutions = list_convolutions(Architecture(1, 1, depth, padding=padding), crop, crop)
    return convolutions[2 * depth + 1].height


def choose_depth(task: Task) -> int:
    """Return the given depth, or the largest up to 4 with a deepest map of at least 8 pixels.

    Raises:
        InputError: The given crop fits no depth, or not the given one.
    """
    crop = task.given.get("crop")
    depths = [task.given["depth"]] if "depth" in task.given else list(range(DEEPEST, 0, -1))
    if crop is None:
        return next((depth for depth in depths if any(_good_crops(task, depth))), depths[-1])
    fitting = [depth for depth in depths if unet_geometry(depth, task.model.padding).fits(crop)]
    if not fitting:
        raise refuse_crop(crop, depths[-1], task.model.padding)
    good = (d for d in fitting if deepest_edge(d, task.model.padding, crop) >= LEAST_DEEP_EDGE)
    return next(good, fitting[-1])


def list_crops(task: Task, depth: int) -> list[int]:
    """Return the crops to choose from for this depth, the largest first; the given one alone."""
    if "crop" in task.given:
        fits = unet_geometry(depth, task.model.padding).fits(task.given["crop"])
        return [task.given["crop"]] if fits else []
    return list(_good_crops(task, depth)) or [_smallest_good_crop(task, depth)]


def _good_crops(task: Task, depth: int) -> Iterator[int]:
    """Yield crops that fit the network and the images, and have a large deepest map."""
    smallest = _smallest_good_crop(task, depth)
    limit = min(task.median_edge, LARGEST_CROP)
    largest = limit - (limit - smallest) % 2**depth
    yield from range(largest, smallest - 1, -(2**depth))


def _smallest_good_crop(task: Task, depth: int) -> int:
    geometry = unet_geometry(depth, task.model.padding)
    edge = geometry.fit(2 * geometry.shrink + 1)
    while deepest_edge(depth, task.model.padding, edge) < LEAST_DEEP_EDGE:
        edge += geometry.stride
    return edge
