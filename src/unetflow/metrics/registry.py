"""Registry of all metrics: each family with its definitions and its function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import Label
from unetflow.metrics import centreline, instance_matching, membranes, pixels, surface
from unetflow.metrics.class_masks import ClassMasks
from unetflow.metrics.definitions import Definition

FAMILIES: dict[str, dict[str, Definition]] = {
    "pixels": pixels.DEFINITIONS,
    "surface": surface.DEFINITIONS,
    "instances": instance_matching.DEFINITIONS,
    "centreline": centreline.DEFINITIONS,
    "membranes": membranes.DEFINITIONS,
}
"""The scores of each family for one class in one image."""

DEFINITIONS = {name: known for family in FAMILIES.values() for name, known in family.items()}
"""The definition of each score of one class in one image."""


@dataclass(frozen=True)
class ScoreSettings:
    """Selection of the scores that are computed.

    Attributes:
        families: Names out of `FAMILIES`.
        surface_tolerance: Tolerance of the surface Dice, in pixels.
    """

    families: Sequence[str] = ("pixels",)
    surface_tolerance: float = 2.0


def score_class(
    truth: Label,
    found: Label,
    index: int,
    settings: ScoreSettings,
    objects: NDArray[np.unsignedinteger] | None = None,
) -> dict[str, float]:
    """Compute the scores of one class in one image.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        found: `(height, width)` class indices.
        index: Index of the class.
        settings: Which scores.
        objects: `(height, width)`, the number of each pixel's true object; None where unknown,
            which omits the family `instances`.

    Returns:
        The scores by their names in `DEFINITIONS`. None of them is NaN or infinite.
    """
    masks = ClassMasks.of(truth, found, index)
    compute: dict[str, Callable[[], dict[str, float]]] = {
        "pixels": lambda: pixels.score_pixels(pixels.count_confusion(truth, masks.found, index)),
        "surface": lambda: surface.score_surface(masks, settings.surface_tolerance),
        "instances": lambda: (
            {} if objects is None else instance_matching.score_instances(masks, objects)
        ),
        "centreline": lambda: centreline.score_centreline(masks),
        "membranes": lambda: membranes.score_membranes(masks),
    }
    return {
        name: value for family in settings.families for name, value in compute[family]().items()
    }
